// Package sqltext reads SQL texts: a scanner of PostgreSQL's tokens, and what a text says about the
// settings it changes and about the literals that are evaluated while it is parsed. It never decides
// what a statement did, which the server's answer tells; it decides what a cached statement may be
// reused for, and errs on the side of parsing once more.
package sqltext
