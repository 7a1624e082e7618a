package main

/*
#cgo CFLAGS: -I${SRCDIR}/../abi
#include "hypern_abi.h"
*/
import "C"

import (
	"fmt"

	"hypern/go/abi"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

//export hypern_sql
func hypern_sql(what C.int32_t, text *C.char, length C.int64_t, out *C.hn_buf) C.int32_t {
	result := C.int32_t(-1)
	fault := guard(func() *wire.Fault {
		sql := view(text, length)
		switch what {
		case abi.SQLNamed:
			rewritten, names, problem := sqltext.Named(sql)
			if problem != nil {
				return &wire.Fault{Kind: wire.KindProgramming, Message: problem.Message, SQL: sql, Line: problem.Line,
					Position: problem.Position, SafeToRetry: true}
			}
			if names == nil {
				names = []string{}
			}
			result = storeJSON(out, []any{rewritten, names})
		case abi.SQLMarks:
			marks := []int{}
			for _, m := range sqltext.Marks(sql) {
				marks = append(marks, m.Start, m.End)
			}
			result = storeJSON(out, marks)
		case abi.SQLParts:
			_, parts, problem := sqltext.Split(sql)
			if problem != nil {
				return &wire.Fault{Kind: wire.KindProgramming, Message: problem.Message, SQL: sql, Line: problem.Line,
					Position: problem.Position, SafeToRetry: true}
			}
			found := make([][]any, 0, len(parts))
			for _, p := range parts {
				found = append(found, []any{p.Start, p.End, p.Control})
			}
			result = storeJSON(out, found)
		default:
			return &wire.Fault{Kind: wire.KindInterface, Message: fmt.Sprintf("unknown reading %d of an SQL text", what)}
		}
		return nil
	})
	if fault != nil {
		return report(out, fault)
	}
	return result
}
