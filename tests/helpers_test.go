package tests

import "hypern/go/pgtest"

// terminateAll ends every connection to the database but the test's own, and waits until they are gone.
func terminateAll(db *pgtest.DB) {
	db.Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
		"WHERE datname = current_database() AND pid <> pg_backend_pid()")
	db.AwaitBackends(0)
}
