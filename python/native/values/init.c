/* The top of the room: the set-up of all converters, and the converters of each family. */
#include "values/calendar.h"
#include "values/codec.h"
#include "values/maker.h"
#include "values/python_types.h"
#include "values/types.h"

static const hn_converters by_family[] = {
#define X(family, name, binary, read, read_text, write, write_text)                                \
    {read, read_text, write, write_text},
    HN_FAMILIES(X)
#undef X
};

int hn_codec_init(void)
{
    hn_types_init(by_family);
    hn_links_init(&hn_domain_converters);
    if (hn_python_init() < 0 || hn_date_init() < 0 || hn_time_init() < 0 ||
        hn_interval_init() < 0 || hn_plain_text_init() < 0 || hn_declare_init() < 0 ||
        hn_bulk_init() < 0 || hn_fields_init() < 0 || hn_maker_init() < 0)
        return -1;
    return 0;
}
