/* The part of an operation in which the server's description meets the parameters. */
#include "engine/describe.h"

#include <string.h>

#include "buf.h"
#include "engine/items.h"
#include "engine/many.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "engine/stream.h"
#include "error.h"

static void use_description(hn_engine *e, hn_description *description)
{
    if (description != NULL)
        hn_description_ref(description);
    if (e->description != NULL)
        hn_description_unref(e->description);
    e->description = description;
}

static int declare(hn_engine *e)
{
    /* Each time at least one more parameter is declared, unless the server changes its mind. */
    if (e->redeclared++ > hn_description_nparams(e->description))
        return hn_raise("OperationalError", "the server describes the statement's parameters "
                                            "differently each time");
    return hn_declared_types(e->description, e->request.params, &e->declared) < 0 ? -1 : 0;
}

int hn_describe_guess(hn_engine *e)
{
    e->call.plan = 0;
    e->body.len = 0;
    if (e->request.mode == HN_MODE_DESCRIBE)
        return HN_IN_REPARSE;
    hn_descriptions *descriptions = &e->target->database->descriptions;
    int rc = HN_NEED_DECLARED;
    /* First for the description without declared types, which has the places where a value may
     * declare one. */
    while (rc == HN_NEED_DECLARED) {
        use_description(
            e, hn_descriptions_find(descriptions, e->request.sql, &e->declared, &e->plan_id));
        if (e->description == NULL)
            return PyErr_Occurred() ? -1 : 0;
        rc = hn_encode(e->description, e->request.params, NULL, -1, e->deadline, &e->body);
        if (rc == HN_NEED_DECLARED && declare(e) < 0)
            rc = -1;
        else if (rc == 0)
            rc = hn_rows_prepare(e);
    }
    if (hn_engine_is_late(e))
        return -1;
    switch (rc) {
    case 0:
        e->call.plan = e->plan_id;
        return HN_IN_GUESS;
    case HN_NEED_TZ: /* the core has the zone, and passes it with WANT_ENCODE */
        return 0;
    default:
        /* The description may be of an older schema: only a fresh description is worth an error. */
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        hn_declared_clear(&e->declared);
        return HN_IN_REPARSE;
    }
}

/* The outcome is the exception that is set. Nothing of the statement has been sent, so that the
 * connection stays as good as it was; but for rows of execute_many, which the core takes back. */
static void withdraw(hn_engine *e)
{
    bool is_batch = e->request.op == HN_OP_BATCH;
    if (is_batch)
        hn_items_blame(e);
    hn_engine_raise(e);
    hn_engine_step(e, is_batch || e->variant != NULL ? HN_OP_CONTINUE : HN_OP_ABANDON,
                   HN_IN_CANCELLED);
}

/* The last two of the description's four parts: the session's time zone, and the declared types. */
static int read_environment(hn_engine *e)
{
    const hn_buf *out = &e->call.out;
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        uint32_t len;
        if (out->len - at < sizeof len)
            goto short_;
        memcpy(&len, out->data + at, sizeof len);
        at += sizeof len;
        if (len > out->len - at)
            goto short_;
        if (part == 2) {
            PyObject *text = PyUnicode_DecodeUTF8((const char *)out->data + at, len, NULL);
            Py_XSETREF(e->timezone, text);
            if (text == NULL)
                return -1;
        }
        if (part == 3)
            return hn_declared_read(&e->declared, out->data + at, len);
        at += len;
    }
short_:
    PyErr_SetString(PyExc_SystemError, "the core's description of a statement is cut short");
    return -1;
}

/* 0, HN_NEED_DECLARED, or -1 with an exception. */
static int encode(hn_engine *e)
{
    e->body.len = 0;
    if (e->request.op == HN_OP_MANY)
        return hn_many_look(e); /* the rows are encoded as they are sent */
    if (e->request.op == HN_OP_COPY_IN)
        return 0;
    if (e->request.op == HN_OP_FETCH)
        return hn_stream_look(e); /* the parameters were bound with the first chunk */
    if (e->request.op == HN_OP_COPY_OUT && !hn_description_comes_binary(e->description))
        return -1;
    int rc = hn_encode(e->description, e->request.params, e->timezone, -1, e->deadline, &e->body);
    if (hn_engine_is_late(e))
        return -1;
    if (rc == HN_NEED_TZ)
        return hn_raise("InterfaceError", "the server did not report its TimeZone setting");
    if (rc == HN_NEED_DECLARED && declare(e) < 0)
        return -1;
    return rc;
}

/* Requests the OIDs in `requested` from the core. */
static void ask(hn_engine *e, uint32_t in_flags)
{
    e->requested_what = in_flags;
    e->call.sql = (const char *)e->requested;
    e->call.sql_len = (int64_t)(e->requested_count * sizeof e->requested[0]);
    hn_engine_step(e, HN_OP_TYPES, in_flags);
}

/* Requests what the core has to look up of the tables that the result's columns come from. */
static bool ask_of_tables(hn_engine *e, uint32_t in_flags)
{
    e->requested_count = hn_description_tables(e->description, e->requested,
                                               sizeof e->requested / sizeof e->requested[0]);
    if (e->requested_count > 0)
        ask(e, in_flags);
    return e->requested_count > 0;
}

/* The description is the outcome, and the statement is not run. */
static void describe_only(hn_engine *e)
{
    bool has_nulls = (e->requested_what & HN_IN_NULLS) != 0;
    if (!has_nulls && ask_of_tables(e, HN_IN_COLUMNS | HN_IN_NULLS))
        return;
    e->result = hn_description_describe(e->description);
    if (e->result == NULL)
        withdraw(e);
    else
        hn_engine_step(e, HN_OP_ABANDON, HN_IN_CANCELLED);
}

/* The description is complete. A composite that is refused may fit the type as it is by now: the
 * core looks, and requests another encoding if it has been altered. */
static void use(hn_engine *e)
{
    if (e->request.mode == HN_MODE_DESCRIBE) {
        describe_only(e);
        return;
    }
    int rc = hn_rows_prepare(e) < 0 ? -1 : encode(e);
    bool is_late = rc < 0 && e->deadline != HN_NEVER && hn_now() >= e->deadline;
    if (rc < 0 && !is_late && e->refused == NULL && PyErr_ExceptionMatches(PyExc_Exception) &&
        hn_description_takes_rows(e->description)) {
        e->refused = hn_exception_take();
        hn_engine_step(e, HN_OP_CONTINUE, HN_IN_REPARSE);
        return;
    }
    if (rc < 0) {
        withdraw(e);
        return;
    }
    Py_CLEAR(e->refused);
    e->call.plan = e->plan_id;
    hn_engine_step(e, HN_OP_CONTINUE, rc == HN_NEED_DECLARED ? HN_IN_DECLARED : 0);
}

/* The description is complete, or types are requested. */
static void proceed(hn_engine *e)
{
    size_t max = sizeof e->requested / sizeof e->requested[0];
    e->requested_count = hn_description_unknown(e->description, e->requested, max);
    if (e->requested_count > 0) {
        ask(e, 0);
        return;
    }
    hn_descriptions *descriptions = &e->target->database->descriptions;
    if (hn_description_resolve(e->description) < 0 ||
        hn_descriptions_keep(descriptions, e->request.sql, e->plan_id, e->description) < 0)
        withdraw(e);
    else
        use(e);
}

void hn_describe_encode(hn_engine *e)
{
    if (read_environment(e) < 0) {
        withdraw(e);
        return;
    }
    if (e->description == NULL || e->plan_id != e->call.plan)
        use_description(e, hn_descriptions_find(&e->target->database->descriptions, e->request.sql,
                                                &e->declared, &e->plan_id));
    if (e->description != NULL && e->plan_id == e->call.plan) {
        if (e->refused != NULL) { /* the types are as they were */
            hn_exception_raise(e->refused);
            e->refused = NULL;
            withdraw(e);
        } else {
            use(e);
        }
        return;
    }
    Py_CLEAR(e->refused);
    use_description(e, NULL);
    e->plan_id = e->call.plan;
    hn_codec *codec = NULL;
    if (!PyErr_Occurred())
        codec = hn_catalogs_get(&e->target->database->catalogs, e->call.catalog);
    if (codec != NULL)
        e->description = hn_description_new(codec, e->call.out.data, e->call.out.len, &e->declared,
                                            e->request.sql);
    if (e->description == NULL) {
        withdraw(e);
        return;
    }
    if (!hn_codec_has_registered(codec) || !ask_of_tables(e, HN_IN_COLUMNS))
        proceed(e);
}

void hn_describe_learn(hn_engine *e)
{
    const hn_buf *out = &e->call.out;
    if ((e->requested_what & HN_IN_NULLS) != 0)
        hn_description_set_nulls(e->description, out->data, out->len);
    else if (e->requested_what != 0)
        hn_description_set_domains(e->description, out->data, out->len);
    else if (hn_codec_add_types(hn_description_codec(e->description), out->data, out->len,
                                e->requested, e->requested_count) < 0) {
        withdraw(e);
        return;
    }
    proceed(e);
}
