// Package abi holds the boundary with the C extension: the header hypern_abi.h, and Go names for
// the constants it spells.
//
// The header is embedded because Go's build cache does not see a change to a header that lies
// outside a package's own directory: without it, a stale core could be linked silently.
package abi

/*
#include "hypern_abi.h"

static const char *hn_state_word(uint32_t state) {
#define X(name, word) word,
    static const char *const words[] = {HN_STATES(X)};
#undef X
    return state < sizeof words / sizeof *words ? words[state] : "";
}
*/
import "C"

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
)

//go:embed hypern_abi.h
var header []byte

// Fingerprint identifies the header this core was built with. The extension compares it with its
// own after dlopen.
func Fingerprint() string {
	sum := sha256.Sum256(header)
	return hex.EncodeToString(sum[:])
}

// Op is what a caller starts on a session.
type Op uint32

// The operations, as HN_OPS describes them.
const (
	OpContinue   Op = C.HN_OP_CONTINUE
	OpStatement  Op = C.HN_OP_STATEMENT
	OpMany       Op = C.HN_OP_MANY
	OpBegin      Op = C.HN_OP_BEGIN
	OpCommit     Op = C.HN_OP_COMMIT
	OpRollback   Op = C.HN_OP_ROLLBACK
	OpSavepoint  Op = C.HN_OP_SAVEPOINT
	OpRelease    Op = C.HN_OP_RELEASE
	OpRollbackTo Op = C.HN_OP_ROLLBACK_TO
	OpFinalize   Op = C.HN_OP_FINALIZE
	OpTypes      Op = C.HN_OP_TYPES
	OpAbandon    Op = C.HN_OP_ABANDON
	OpStream     Op = C.HN_OP_STREAM
	OpFetch      Op = C.HN_OP_FETCH
	OpStreamEnd  Op = C.HN_OP_STREAM_END
	OpEnter      Op = C.HN_OP_ENTER
	OpLeave      Op = C.HN_OP_LEAVE
	OpUndo       Op = C.HN_OP_UNDO
	OpSetLocal   Op = C.HN_OP_SET_LOCAL
	OpScript     Op = C.HN_OP_SCRIPT
	OpBatch      Op = C.HN_OP_BATCH
	OpGiveBack   Op = C.HN_OP_GIVE_BACK
	OpCopyIn     Op = C.HN_OP_COPY_IN
	OpCopyOut    Op = C.HN_OP_COPY_OUT
)

// Want is what the core wants next from the side that waits.
type Want uint32

// The wants, as HN_WANTS describes them.
const (
	WantDone   Want = C.HN_WANT_DONE
	WantFail   Want = C.HN_WANT_FAIL
	WantWait   Want = C.HN_WANT_WAIT
	WantIO     Want = C.HN_WANT_IO
	WantEncode Want = C.HN_WANT_ENCODE
	WantRows   Want = C.HN_WANT_ROWS
	WantTypes  Want = C.HN_WANT_TYPES
	WantBatch  Want = C.HN_WANT_BATCH
	WantCopy   Want = C.HN_WANT_COPY
)

// State is a session's state in the specification's six words.
type State uint32

// The states, as HN_STATES lists them.
const (
	StateIdle          State = C.HN_STATE_IDLE
	StateConnected     State = C.HN_STATE_CONNECTED
	StateInTransaction State = C.HN_STATE_IN_TRANSACTION
	StateCommitted     State = C.HN_STATE_COMMITTED
	StateRolledBack    State = C.HN_STATE_ROLLED_BACK
	StateClosed        State = C.HN_STATE_CLOSED
)

// String is the specification's word, as the header spells it.
func (s State) String() string { return C.GoString(C.hn_state_word(C.uint32_t(s))) }

// Flags of hn_call.in_flags.
const (
	InEOF        = C.HN_IN_EOF
	InTimeout    = C.HN_IN_TIMEOUT
	InReparse    = C.HN_IN_REPARSE
	InCancelled  = C.HN_IN_CANCELLED
	InGuess      = C.HN_IN_GUESS
	InKept       = C.HN_IN_KEPT
	InDeclared   = C.HN_IN_DECLARED
	InISO        = C.HN_IN_ISO
	InDigits     = C.HN_IN_DIGITS
	InLate       = C.HN_IN_LATE
	InColumns    = C.HN_IN_COLUMNS
	InRegistered = C.HN_IN_REGISTERED
	InRequest    = C.HN_IN_REQUEST
	InDeadline   = C.HN_IN_DEADLINE
	InStepwise   = C.HN_IN_STEPWISE
	InTag        = C.HN_IN_TAG
	InNulls      = C.HN_IN_NULLS
	InReturning  = C.HN_IN_RETURNING
	InObserved   = C.HN_IN_OBSERVED
	InEncoded    = C.HN_IN_ENCODED
	InPaused     = C.HN_IN_PAUSED

	Again    = C.HN_AGAIN
	Guarded  = C.HN_GUARDED
	RowsGoOn = C.HN_ROWS_GO_ON

	TextMax = C.HN_TEXT_MAX
)

// What hypern_sql reads.
const (
	SQLNamed = C.HN_SQL_NAMED
	SQLMarks = C.HN_SQL_MARKS
	SQLParts = C.HN_SQL_PARTS
)

// Flags of hn_call.io_flags.
const (
	IOBody  = C.HN_IO_BODY
	IORows  = C.HN_IO_ROWS
	IORaw   = C.HN_IO_RAW
	IOTLS   = C.HN_IO_TLS
	IOLocal = C.HN_IO_LOCAL
	IOCopy  = C.HN_IO_COPY
	IOData  = C.HN_IO_DATA
	IOWhole = C.HN_IO_WHOLE
)

// Answers of hypern_transport that are no count.
const (
	IOAgain  = C.HN_IO_AGAIN
	IOFailed = C.HN_IO_FAILED
)

// Ways to cancel, for hypern_cancel.
const (
	CancelRequest = C.HN_CANCEL_REQUEST
	CancelKill    = C.HN_CANCEL_KILL
	CancelLate    = C.HN_CANCEL_LATE
)

// What hypern_state changes, and the flags of its answer.
const (
	SetNothing    = C.HN_SET_NOTHING
	SetAutoCommit = C.HN_SET_AUTO_COMMIT
	SetError      = C.HN_SET_ERROR
	SetNotEntered = C.HN_SET_NOT_ENTERED
	SetFindBlock  = C.HN_SET_FIND_BLOCK
	SetFailed     = C.HN_SET_FAILED

	FlagInTransaction = C.HN_FLAG_IN_TRANSACTION
	FlagAutoCommit    = C.HN_FLAG_AUTO_COMMIT
	FlagError         = C.HN_FLAG_ERROR
	FlagShared        = C.HN_FLAG_SHARED
	FlagIncomplete    = C.HN_FLAG_INCOMPLETE
	FlagBlock         = C.HN_FLAG_BLOCK
	FlagNoReplica     = C.HN_FLAG_NO_REPLICA
)

// HooksAll as hn_call.hooks_kept: every function goes on waiting.
const HooksAll = C.HN_HOOKS_ALL

// What hypern_pool does.
const (
	PoolStatus     = C.HN_POOL_STATUS
	PoolClose      = C.HN_POOL_CLOSE
	PoolDisconnect = C.HN_POOL_DISCONNECT
	PoolLeft       = C.HN_POOL_LEFT
	PoolPanic      = C.HN_POOL_PANIC
	PoolDebug      = C.HN_POOL_DEBUG
	PoolDrain      = C.HN_POOL_DRAIN
	PoolJobsFD     = C.HN_POOL_JOBS_FD
	PoolJobs       = C.HN_POOL_JOBS
	PoolTexts      = C.HN_POOL_TEXTS
	PoolSettle     = C.HN_POOL_SETTLE
	PoolBaseline   = C.HN_POOL_BASELINE
	PoolHooked     = C.HN_POOL_HOOKED
	PoolHeardFD    = C.HN_POOL_HEARD_FD
	PoolHeard      = C.HN_POOL_HEARD
	PoolListen     = C.HN_POOL_LISTEN
)

// AppendCut appends an hn_cut: the body of an item belongs at this place in head.
func AppendCut(dst []byte, item, at int) []byte {
	return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(dst, uint64(item)), uint64(at))
}
