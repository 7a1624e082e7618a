/* What a Pool has learned of types, by the number of the server's catalog. */
#include "session/catalogs.h"

#include <string.h>

void hn_catalogs_init(hn_catalogs *catalogs, hn_codec *hooks)
{
    memset(catalogs, 0, sizeof *catalogs);
    catalogs->hooks = hooks;
}

void hn_catalogs_clear(hn_catalogs *catalogs)
{
    for (int i = 0; i < HN_CATALOGS_MAX; i++) {
        hn_codec_free(catalogs->recent[i].codec);
        catalogs->recent[i].codec = NULL;
    }
}

void hn_catalogs_free(hn_catalogs *catalogs)
{
    hn_catalogs_clear(catalogs);
    hn_codec_free(catalogs->hooks);
    catalogs->hooks = NULL;
}

int hn_catalogs_traverse(const hn_catalogs *catalogs, visitproc visit, void *arg)
{
    int rc = catalogs->hooks == NULL ? 0 : hn_codec_traverse(catalogs->hooks, visit, arg);
    for (int i = 0; rc == 0 && i < HN_CATALOGS_MAX; i++)
        if (catalogs->recent[i].codec != NULL)
            rc = hn_codec_traverse(catalogs->recent[i].codec, visit, arg);
    return rc;
}

void hn_catalogs_drop_hooks(hn_catalogs *catalogs)
{
    hn_catalogs_clear(catalogs);
    if (catalogs->hooks != NULL)
        hn_codec_clear(catalogs->hooks);
}

hn_codec *hn_catalogs_get(hn_catalogs *catalogs, uint64_t number)
{
    int at = 0;
    while (at < HN_CATALOGS_MAX - 1 && catalogs->recent[at].codec != NULL &&
           catalogs->recent[at].number != number)
        at++;
    hn_codec *found = catalogs->recent[at].codec;
    if (found == NULL || catalogs->recent[at].number != number) {
        hn_codec *added = hn_codec_like(catalogs->hooks);
        if (added == NULL)
            return NULL;
        if (catalogs->recent[0].codec != NULL &&
            hn_codec_hear(added, catalogs->recent[0].codec) < 0) {
            hn_codec_free(added);
            return NULL;
        }
        hn_codec_free(found); /* the one that was not used for longest; descriptions keep theirs */
        found = added;
    }
    memmove(&catalogs->recent[1], &catalogs->recent[0], (size_t)at * sizeof catalogs->recent[0]);
    catalogs->recent[0].number = number;
    catalogs->recent[0].codec = found;
    return found;
}

int hn_catalogs_register(hn_catalogs *catalogs, const char *type_name, PyObject *loads,
                         PyObject *dumps)
{
    if (hn_codec_register(catalogs->hooks, type_name, loads, dumps) < 0)
        return -1;
    for (int i = 0; i < HN_CATALOGS_MAX; i++)
        if (catalogs->recent[i].codec != NULL)
            hn_codec_forget_types(catalogs->recent[i].codec);
    return 0;
}
