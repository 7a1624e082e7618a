package abi

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"testing"
)

func TestStatesAreTheSpecificationsWords(t *testing.T) {
	words := map[State]string{
		StateIdle: "idle", StateConnected: "connected", StateInTransaction: "in_transaction",
		StateCommitted: "committed", StateRolledBack: "rolled_back", StateClosed: "closed",
	}
	for state, word := range words {
		if state.String() != word {
			t.Errorf("state %d is %q, and not %q", state, state, word)
		}
	}
	if got := State(len(words)).String(); got != "" {
		t.Errorf("a state beyond the last is %q", got)
	}
}

func TestTheFingerprintIsThatOfTheHeaderOnDisk(t *testing.T) {
	b, err := os.ReadFile("hypern_abi.h")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != Fingerprint() {
		t.Errorf("built with another header: %s", Fingerprint())
	}
}

// Every name of the header's lists has a Go name: a new one must not be forgotten here.
func TestEveryListOfTheHeaderIsNamedInGo(t *testing.T) {
	for list, n := range map[string]int{
		"HN_OPS": int(OpCopyOut) + 1, "HN_WANTS": int(WantCopy) + 1,
		"HN_STATES": int(StateClosed) + 1, "HN_POOL_OPS": int(PoolListen) + 1,
	} {
		body := regexp.MustCompile(`(?s)#define ` + list + `\(X\).*?\n\n`).Find(header)
		if got := len(regexp.MustCompile(`X\(\w+, "`).FindAll(body, -1)); got != n {
			t.Errorf("%s has %d names, %d of them in Go", list, got, n)
		}
	}
}

func TestTheStateFitsBelowItsFlags(t *testing.T) {
	for _, flag := range []uint32{FlagInTransaction, FlagAutoCommit, FlagError} {
		if flag < 256 || flag&uint32(StateClosed) != 0 {
			t.Errorf("flag %d lies among the states", flag)
		}
	}
}
