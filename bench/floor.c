/* The floor: what libpq, the C client library, needs for the same work with results left unparsed.
 *
 * Speaks the workers' line protocol (see worker.py): `define` and `run` lines on standard input,
 * one answer line each on standard output. Statements are prepared and results binary; a request
 * sends BEGIN together with its first statement, since libpq can. Many rows are made beforehand.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_SCENARIOS = 128, MAX_FIELDS = 8, KEYS = 1000 };

typedef struct scenario {
    char *fields[MAX_FIELDS]; /* key, shape, count, connections, statements */
    int nfields;
} scenario;

/* Octets: of a row sent, at most, of its answer (BindComplete, "INSERT 0 1"), of ReadyForQuery. */
enum { ROW_MAX = 128, ROW_ANSWER = 5 + 16, READY = 6 };

enum { KEY, SHAPE, COUNT, CONNECTIONS, FIRST_SQL, SECOND_SQL };

static PGconn *conn;
static scenario scenarios[MAX_SCENARIOS];
static int nscenarios;

_Noreturn static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("error ");
    vprintf(format, args);
    va_end(args);
    if (conn != NULL)
        printf(": %s", PQerrorMessage(conn));
    printf("\n");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void expect(PGresult *result, const char *what) {
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
        fail("%s", what);
    PQclear(result);
}

static void prepare(const char *name, const char *sql) {
    char command[64];
    snprintf(command, sizeof command, "DEALLOCATE \"%s\"", name);
    PQclear(PQexec(conn, command)); /* its failure only means that there was none */
    expect(PQprepare(conn, name, sql, 0, NULL), "prepare");
}

static void one(const scenario *s, long loops) {
    char id[24];
    const char *values[1] = {id};
    int count = atoi(s->fields[COUNT]);
    for (long i = 0; i < loops; i++) {
        snprintf(id, sizeof id, "%ld", i % KEYS + 1);
        expect(PQexecPrepared(conn, "first", count, values, NULL, NULL, 1), "statement");
    }
}

static void all(const scenario *s, long loops) {
    (void)s;
    for (long i = 0; i < loops; i++)
        expect(PQexecPrepared(conn, "first", 0, NULL, NULL, NULL, 1), "statement");
}

/* Everything sent since the last synchronisation point is answered here: `results` statements and
 * the point itself. */
static void drain(long results) {
    if (PQpipelineSync(conn) != 1)
        fail("pipeline");
    for (long i = 0; i < results; i++) {
        expect(PQgetResult(conn), "statement");
        PQclear(PQgetResult(conn)); /* the NULL that ends each statement's results */
    }
    expect(PQgetResult(conn), "synchronisation");
}

static void request(const scenario *s, long loops) {
    char id[24];
    const char *values[1] = {id};
    (void)s;
    if (PQenterPipelineMode(conn) != 1)
        fail("pipeline");
    for (long i = 0; i < loops; i++) {
        snprintf(id, sizeof id, "%ld", i % KEYS + 1);
        PQsendQueryPrepared(conn, "begin", 0, NULL, NULL, NULL, 1);
        PQsendQueryPrepared(conn, "first", 1, values, NULL, NULL, 1);
        drain(2);
        PQsendQueryPrepared(conn, "second", 1, values, NULL, NULL, 1);
        drain(1);
        PQsendQueryPrepared(conn, "commit", 0, NULL, NULL, NULL, 1);
        drain(1);
    }
    PQexitPipelineMode(conn);
}

/* execute_many's floor is the server alone: libpq takes longer to make the messages than some drivers
 * do, so here they are made beforehand and sent as they are, on libpq's own socket. */
static char *put(char *at, const void *data, size_t len) { return (char *)memcpy(at, data, len) + len; }

static char *put_int(char *at, uint64_t value, int octets) {
    for (int i = 0; i < octets; i++)
        *at++ = (char)(value >> 8 * (octets - 1 - i));
    return at;
}

/* Bind (all binary: id, name, score) and Execute of "first". */
static char *put_row(char *at, long row) {
    char name[48], *length = at + 1;
    int name_length = snprintf(name, sizeof name, "row number %ld", row);
    double score = (double)row * 1.25;
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    at = put(at, "B\0\0\0\0\0first\0\0\1\0\1\0\3", 18);
    at = put_int(put_int(at, 4, 4), (uint64_t)row, 4);
    at = put(put_int(at, (uint64_t)name_length, 4), name, (size_t)name_length);
    at = put_int(put_int(at, 8, 4), bits, 8);
    at = put(at, "\0\0", 2);
    put_int(length, (uint64_t)(at - length), 4);
    return put(at, "E\0\0\0\11\0\0\0\0\0", 10);
}

static void exchange(int fd, const char *data, size_t len, size_t answer) {
    static char in[1 << 17];
    size_t sent = 0, got = 0;
    while (got < answer) {
        if (sent < len) {
            ssize_t n = send(fd, data + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
        }
        if (sent < len)
            poll(&(struct pollfd){.fd = fd, .events = POLLIN | POLLOUT}, 1, -1);
        ssize_t n = recv(fd, in, sizeof in, sent < len ? MSG_DONTWAIT : 0);
        if (n == 0)
            fail("the server is gone");
        got += n > 0 ? (size_t)n : 0;
        if (n >= READY && in[n - READY] == 'Z' && got != answer)
            fail("a row");
    }
}

static void many(const scenario *s, long loops) {
    long rows = atol(s->fields[COUNT]);
    char *data = malloc((size_t)rows * ROW_MAX + READY), *end = data;
    if (data == NULL || PQsslInUse(conn))
        fail("many needs memory, and a connection without TLS");
    for (long row = 0; row < rows; row++)
        end = put_row(end, row);
    end = put(end, "S\0\0\0\4", 5);
    int fd = PQsocket(conn), flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    for (long i = 0; i < loops; i++)
        exchange(fd, data, (size_t)(end - data), (size_t)rows * ROW_ANSWER + READY);
    fcntl(fd, F_SETFL, flags);
    free(data);
}

static double run(const scenario *s, long loops) {
    const char *shape = s->fields[SHAPE];
    void (*body)(const scenario *, long) = strcmp(shape, "one") == 0       ? one
                                           : strcmp(shape, "all") == 0     ? all
                                           : strcmp(shape, "request") == 0 ? request
                                           : strcmp(shape, "many") == 0    ? many
                                                                           : NULL;
    if (body == NULL)
        fail("no floor for the shape %s", shape);
    prepare("first", s->fields[FIRST_SQL]);
    if (body == request) {
        prepare("begin", "BEGIN");
        prepare("commit", "COMMIT");
        prepare("second", s->fields[SECOND_SQL]);
    }
    body(s, loops / 10);
    double start = now();
    body(s, loops);
    double seconds = now() - start;
    if (body == many)
        expect(PQexec(conn, s->fields[SECOND_SQL]), "clearing");
    return seconds / (double)loops;
}

static void define(char *rest) {
    if (nscenarios == MAX_SCENARIOS)
        fail("more than %d scenarios", MAX_SCENARIOS);
    scenario *s = &scenarios[nscenarios++];
    char *copy = strdup(rest), *save = NULL;
    if (copy == NULL)
        fail("out of memory");
    for (char *field = strtok_r(copy, "\t", &save); field != NULL && s->nfields < MAX_FIELDS;
         field = strtok_r(NULL, "\t", &save))
        s->fields[s->nfields++] = field;
    if (s->nfields <= FIRST_SQL)
        fail("a definition has at least %d fields", FIRST_SQL + 1);
    printf("ok\n");
}

static void answer(char *line) {
    char *rest = strchr(line, '\t');
    if (rest == NULL)
        fail("not a command: %s", line);
    *rest++ = '\0';
    if (strcmp(line, "define") == 0) {
        define(rest);
        return;
    }
    char *loops = strchr(rest, '\t');
    if (strcmp(line, "run") != 0 || loops == NULL)
        fail("not a command: %s", line);
    *loops++ = '\0';
    for (int i = nscenarios - 1; i >= 0; i--) {
        if (strcmp(scenarios[i].fields[KEY], rest) == 0) {
            printf("ok %.12f\n", run(&scenarios[i], atol(loops)));
            return;
        }
    }
    fail("no scenario %s", rest);
}

int main(int argc, char **argv) {
    if (argc != 2)
        fail("usage: floor URL");
    conn = PQconnectdb(argv[1]);
    if (PQstatus(conn) != CONNECTION_OK)
        fail("connect");
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ok\n");
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        answer(line);
    }
    free(line);
    PQfinish(conn);
    return 0;
}
