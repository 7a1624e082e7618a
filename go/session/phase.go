package session

// phase is where an operation stands: what the next step continues. The first ones, and the last, are those
// of all kinds; the others belong to the kind that begins them.
type phase uint8

const (
	phaseNone           phase = iota
	phaseQueue                // waiting for a connection
	phaseSettle               // reading the answers that the connection's last holder has not waited for
	phaseProbe                // testing the connection
	phaseReplay               // asking a replica how far it has come
	phasePosition             // reading the end of the log that was asked for behind what is under way
	phaseAsk                  // over, but the end of the log is being asked for
	phaseDescribe             // the server is parsing and describing
	phaseEncode               // C is encoding for the description
	phaseTypes                // the server is describing types
	phaseGuard                // the server is preparing guards
	phaseLook                 // the server is looking at the guards alone
	phaseReshape              // a failed guard is being undone
	phaseExecute              // the statement is running
	phaseRows                 // the rows of execute_many are running
	phaseRowsEnd              // execute_many's transaction or savepoint is being ended
	phaseUndo                 // execute_many is being rolled back
	phaseStreamEnd            // a stream's own transaction is being committed or rolled back
	phaseVerdict              // COMMIT, ROLLBACK or a savepoint command is running
	phaseScriptBegin          // what precedes a script is running
	phaseScript               // a script is running, or one of its statements
	phaseScriptSettings       // the settings behind a script are being read
	phaseScriptEnd            // a script's settings are being set back, and its transaction is being ended
	phaseBatchDescribe        // statements of a batch are being described
	phaseBatch                // a run of a batch is under way
	phaseCopy                 // a COPY is sent, and has not asked for its data
	phaseCopyData             // the data of a COPY is on its way
	phaseCopyOut              // the data of a COPY is being received
	phaseCopyEnd              // what is left of a COPY is being dropped
	phaseCopyCalm             // the same, once no request to cancel can hit what follows
	phaseCopyUndo             // the savepoint of a COPY is being rolled back to
	phaseFarewell             // what needs no answer is being sent before release
	phaseEncoding             // client_encoding is being set back
	phaseCalm                 // execute_many is to be rolled back, once no request to cancel can hit that
	phaseCancel               // over, but a request to cancel is still under way
	phaseTrail                // over, but the server is in the middle of a message of its own accord
	phaseScope                // nested: the transaction of an atomic scope is being begun
	phaseTurn                 // nested: the savepoint around a statement is being set
	phaseCheck                // nested: over, but deferred constraints are being checked
)

// describes returns whether the server describes a statement, and runs nothing of the caller's.
func (p phase) describes() bool {
	switch p {
	case phaseDescribe, phaseTypes, phaseGuard, phaseLook, phaseReshape, phaseScriptBegin, phaseBatchDescribe:
		return true
	}
	return false
}

// raw returns whether the rows of the answer are the core's.
func (p phase) raw() bool {
	switch p {
	case phaseTypes, phaseReshape, phaseDescribe, phaseScriptBegin, phaseScriptSettings,
		phaseReplay, phaseAsk:
		return true
	}
	return false
}

// cancellable returns whether a request to cancel is to be repeated until the server has noticed it: not one
// that could hit the rollback after it.
func (p phase) cancellable() bool {
	return p != phaseCancel && p != phaseCalm && p != phaseUndo && p != phaseScriptEnd &&
		p != phaseCopyCalm && p != phaseCopyUndo
}
