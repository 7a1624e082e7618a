package pgtest

import "hypern/go/abi"

// Stream runs a statement for its first chunk of rows.
func (s *Session) Stream(chunk int64, sql string, params ...any) Result {
	s.t.Helper()
	return s.run(&operation{session: s, sql: sql, params: params, chunk: chunk}, abi.OpStream, 0)
}

// Fetch asks for the next chunk of a stream.
func (s *Session) Fetch(stream uint64, chunk int64) Result {
	s.t.Helper()
	return s.run(&operation{session: s, stream: stream, chunk: chunk}, abi.OpFetch, 0)
}

// EndStream ends a stream, with rows left.
func (s *Session) EndStream(stream uint64) Result {
	s.t.Helper()
	return s.run(&operation{session: s, stream: stream}, abi.OpStreamEnd, 0)
}
