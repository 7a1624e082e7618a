/* The built-in PostgreSQL types, spelled once.
 *
 * A row is X(oid, array_oid, name, family, related, delimiter): the type's OID, the OID of its array
 * type (0: it has none), its name in pg_type, the family whose converters serve it (types.h lists
 * them), the OID of the type it is made of (a range's subtype, a multirange's range, a vector's
 * element; 0: none) and the delimiter of its elements in an array's text. The array types are not
 * rows: their name is the element's with an underscore before it.
 *
 * A type is here if PostgreSQL 14 or later can send it to a client or take it from one, so most
 * pseudo-types are not. SERVER_TEXT is for types whose values stay the text that the server prints.
 */
#ifndef HYPERN_TYPES_H
#define HYPERN_TYPES_H

#define HN_BUILTIN_TYPES(X)                                                     \
    X(16, 1000, "bool", BOOL, 0, ',')                                           \
    X(17, 1001, "bytea", BYTEA, 0, ',')                                         \
    X(18, 1002, "char", CHAR, 0, ',')                                           \
    X(19, 1003, "name", TEXT, 0, ',')                                           \
    X(20, 1016, "int8", INT8, 0, ',')                                           \
    X(21, 1005, "int2", INT2, 0, ',')                                           \
    X(22, 1006, "int2vector", VECTOR, 21, ',')                                  \
    X(23, 1007, "int4", INT4, 0, ',')                                           \
    X(24, 1008, "regproc", REG, 0, ',')                                         \
    X(25, 1009, "text", TEXT, 0, ',')                                           \
    X(26, 1028, "oid", OID, 0, ',')                                             \
    X(27, 1010, "tid", SERVER_TEXT, 0, ',')                                     \
    X(28, 1011, "xid", OID, 0, ',')                                             \
    X(29, 1012, "cid", OID, 0, ',')                                             \
    X(30, 1013, "oidvector", VECTOR, 26, ',')                                   \
    X(114, 199, "json", JSON, 0, ',')                                           \
    X(142, 143, "xml", SERVER_TEXT, 0, ',')                                     \
    X(194, 0, "pg_node_tree", SERVER_TEXT, 0, ',')                              \
    X(600, 1017, "point", SERVER_TEXT, 0, ',')                                  \
    X(601, 1018, "lseg", SERVER_TEXT, 0, ',')                                   \
    X(602, 1019, "path", SERVER_TEXT, 0, ',')                                   \
    X(603, 1020, "box", SERVER_TEXT, 0, ';')                                    \
    X(604, 1027, "polygon", SERVER_TEXT, 0, ',')                                \
    X(628, 629, "line", SERVER_TEXT, 0, ',')                                    \
    X(650, 651, "cidr", CIDR, 0, ',')                                           \
    X(700, 1021, "float4", FLOAT4, 0, ',')                                      \
    X(701, 1022, "float8", FLOAT8, 0, ',')                                      \
    X(705, 0, "unknown", TEXT, 0, ',')                                          \
    X(718, 719, "circle", SERVER_TEXT, 0, ',')                                  \
    X(774, 775, "macaddr8", SERVER_TEXT, 0, ',')                                \
    X(790, 791, "money", MONEY, 0, ',')                                         \
    X(829, 1040, "macaddr", SERVER_TEXT, 0, ',')                                \
    X(869, 1041, "inet", INET, 0, ',')                                          \
    X(1033, 1034, "aclitem", SERVER_TEXT, 0, ',')                               \
    X(1042, 1014, "bpchar", TEXT, 0, ',')                                       \
    X(1043, 1015, "varchar", TEXT, 0, ',')                                      \
    X(1082, 1182, "date", DATE, 0, ',')                                         \
    X(1083, 1183, "time", TIME, 0, ',')                                         \
    X(1114, 1115, "timestamp", TIMESTAMP, 0, ',')                               \
    X(1184, 1185, "timestamptz", TIMESTAMPTZ, 0, ',')                           \
    X(1186, 1187, "interval", INTERVAL, 0, ',')                                 \
    X(1266, 1270, "timetz", TIMETZ, 0, ',')                                     \
    X(1560, 1561, "bit", SERVER_TEXT, 0, ',')                                   \
    X(1562, 1563, "varbit", SERVER_TEXT, 0, ',')                                \
    X(1700, 1231, "numeric", NUMERIC, 0, ',')                                   \
    X(1790, 2201, "refcursor", TEXT, 0, ',')                                    \
    X(2202, 2207, "regprocedure", REG, 0, ',')                                  \
    X(2203, 2208, "regoper", REG, 0, ',')                                       \
    X(2204, 2209, "regoperator", REG, 0, ',')                                   \
    X(2205, 2210, "regclass", REG, 0, ',')                                      \
    X(2206, 2211, "regtype", REG, 0, ',')                                       \
    X(2249, 2287, "record", RECORD, 0, ',')                                     \
    X(2275, 1263, "cstring", TEXT, 0, ',')                                      \
    X(2278, 0, "void", TEXT, 0, ',')                                            \
    X(2950, 2951, "uuid", UUID, 0, ',')                                         \
    X(2970, 2949, "txid_snapshot", SERVER_TEXT, 0, ',')                         \
    X(3220, 3221, "pg_lsn", SERVER_TEXT, 0, ',')                                \
    X(3361, 0, "pg_ndistinct", SERVER_TEXT, 0, ',')                             \
    X(3402, 0, "pg_dependencies", SERVER_TEXT, 0, ',')                          \
    X(3614, 3643, "tsvector", SERVER_TEXT, 0, ',')                              \
    X(3615, 3645, "tsquery", SERVER_TEXT, 0, ',')                               \
    X(3642, 3644, "gtsvector", SERVER_TEXT, 0, ',')                             \
    X(3734, 3735, "regconfig", REG, 0, ',')                                     \
    X(3769, 3770, "regdictionary", REG, 0, ',')                                 \
    X(3802, 3807, "jsonb", JSONB, 0, ',')                                       \
    X(3904, 3905, "int4range", RANGE, 23, ',')                                  \
    X(3906, 3907, "numrange", RANGE, 1700, ',')                                 \
    X(3908, 3909, "tsrange", RANGE, 1114, ',')                                  \
    X(3910, 3911, "tstzrange", RANGE, 1184, ',')                                \
    X(3912, 3913, "daterange", RANGE, 1082, ',')                                \
    X(3926, 3927, "int8range", RANGE, 20, ',')                                  \
    X(4072, 4073, "jsonpath", SERVER_TEXT, 0, ',')                              \
    X(4089, 4090, "regnamespace", REG, 0, ',')                                  \
    X(4096, 4097, "regrole", REG, 0, ',')                                       \
    X(4191, 4192, "regcollation", REG, 0, ',')                                  \
    X(4451, 6150, "int4multirange", MULTIRANGE, 3904, ',')                      \
    X(4532, 6151, "nummultirange", MULTIRANGE, 3906, ',')                       \
    X(4533, 6152, "tsmultirange", MULTIRANGE, 3908, ',')                        \
    X(4534, 6153, "tstzmultirange", MULTIRANGE, 3910, ',')                      \
    X(4535, 6155, "datemultirange", MULTIRANGE, 3912, ',')                      \
    X(4536, 6157, "int8multirange", MULTIRANGE, 3926, ',')                      \
    X(4600, 0, "pg_brin_bloom_summary", SERVER_TEXT, 0, ',')                    \
    X(4601, 0, "pg_brin_minmax_multi_summary", SERVER_TEXT, 0, ',')             \
    X(5017, 0, "pg_mcv_list", SERVER_TEXT, 0, ',')                              \
    X(5038, 5039, "pg_snapshot", SERVER_TEXT, 0, ',')                           \
    X(5069, 271, "xid8", XID8, 0, ',')

#endif
