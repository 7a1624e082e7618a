// Package pgtest is the test kit: a PostgreSQL server, a database per test, a driver that plays the
// part of the C extension for package session, and a proxy that breaks connections at a chosen
// point. Tests alone import it.
package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// URLVariable names the environment variable with the URL of a server to test against. Its user has
// to be a superuser: the tests create databases and roles.
const URLVariable = "HYPERN_TEST_URL"

// startTimeout is how long a server of our own may take to answer.
const startTimeout = 30 * time.Second

var (
	serverOnce sync.Once
	serverURL  string
	serverErr  error
	stopServer = func() {}
)

// Server is the URL of a PostgreSQL server: the one that HYPERN_TEST_URL names, or one that is
// started for this test binary. Exit stops that one.
func Server(t testing.TB) string {
	t.Helper()
	serverOnce.Do(func() {
		if serverURL = os.Getenv(URLVariable); serverURL == "" {
			serverURL, serverErr = startServer()
		}
	})
	if serverErr != nil {
		t.Fatalf("%s is not set, and no server could be started: %v", URLVariable, serverErr)
	}
	return serverURL
}

// Exit stops what Server started and ends the test binary with the code. TestMain calls it.
func Exit(code int) {
	stopServer()
	os.Exit(code)
}

func startServer() (url string, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("no initdb in /usr/lib/postgresql/*/bin"))
	}
	slices.Sort(found)
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "hypern-pgtest-")
	if err != nil {
		return "", err
	}
	// The parent's death ends the server, however the test binary goes.
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if attributes.Credential, err = userPostgres(dir); err != nil {
			return "", err
		}
	}
	run := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = dir, attributes
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	server := run("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return "", err
	}
	stopServer = func() {
		_ = server.Process.Signal(os.Interrupt) // fast shutdown; if it is gone already, so be it
		_ = server.Wait()
		_ = log.Close()
		_ = os.RemoveAll(dir)
	}
	url = "postgresql://postgres@/postgres?host=" + dir
	return url, awaitServer(url)
}

// awaitServer polls until the server answers: it tells nobody when it is ready.
func awaitServer(url string) error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgconn.Connect(background, url)
		if err == nil {
			return c.Close(background)
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func userPostgres(dir string) (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
