package main

/*
#cgo CFLAGS: -I${SRCDIR}/../abi
#include "hypern_abi.h"
*/
import "C"

import (
	"strconv"
	"strings"

	"hypern/go/abi"
	"hypern/go/wire"
)

// attend carries out the operations of hypern_pool by which Python's thread serves the dials. given: the parts of
// what hypern_pool was given are divided by NUL; a view.
func attend(op C.int32_t, given string, out *C.hn_buf) (C.int32_t, *wire.Fault) {
	attendant := registry.Attendant()
	first, rest, _ := strings.Cut(given, "\x00")
	switch op {
	case abi.PoolJobsFD:
		fd, err := attendant.FD()
		if err != nil {
			return -1, &wire.Fault{Kind: wire.KindOperational, Message: "no descriptor to wait on: " + err.Error()}
		}
		return C.int32_t(fd), nil
	case abi.PoolJobs:
		return storeJSON(out, attendant.Take()), nil
	case abi.PoolHeardFD:
		fd, err := registry.Listeners().FD()
		if err != nil {
			return -1, &wire.Fault{Kind: wire.KindOperational, Message: "no descriptor to wait on: " + err.Error()}
		}
		return C.int32_t(fd), nil
	case abi.PoolHeard:
		return storeJSON(out, registry.Listeners().Events()), nil
	case abi.PoolListen:
		p := registry.Pool(first)
		if p == nil {
			return -1, &wire.Fault{Kind: wire.KindPoolClosed, Message: "the pool was closed"}
		}
		serial, channels, _ := strings.Cut(rest, "\x00")
		n, err := strconv.ParseInt(serial, 10, 64)
		if err != nil {
			return -1, &wire.Fault{Kind: wire.KindInterface, Message: "the serial number is not readable"}
		}
		var wanted []string
		if channels != "" {
			wanted = strings.Split(strings.Clone(channels), "\x00")
		}
		if fault := registry.Listeners().Want(p, n, wanted); fault != nil {
			return -1, fault
		}
	case abi.PoolTexts:
		return storeJSON(out, registry.Texts(given)), nil
	case abi.PoolSettle:
		ok, text, _ := strings.Cut(rest, "\x00")
		attendant.Settle(first, ok == "1", strings.Clone(text))
	case abi.PoolBaseline:
		attendant.SetBaseline(first, strings.Clone(rest))
	case abi.PoolHooked:
		if p := registry.Pool(first); p != nil {
			p.SetHooked(rest == "1")
		}
	}
	return 0, nil
}
