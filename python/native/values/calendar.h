/* Days and dates, and what the files about time have in common.
 *
 * datetime.h gives every file that includes it a pointer of its own to fill: hence an init each. */
#ifndef HN_CALENDAR_H
#define HN_CALENDAR_H

#include "native.h"

#define HN_SECOND INT64_C(1000000) /* everything is counted in microseconds */
#define HN_DAY (INT64_C(86400) * HN_SECOND)

int hn_date_init(void);
int hn_time_init(void);
int hn_interval_init(void);
int hn_plain_text_init(void);
int hn_declare_init(void);
int hn_fields_init(void);

typedef struct hn_civil {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
} hn_civil;

/* Days since 2000-01-01 to the proleptic Gregorian date. Years are counted from March in eras of
 * 400, so that the leap day ends both. */
static inline hn_civil hn_civil_of(int64_t days)
{
    days += 730425; /* 2000-01-01 from 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    uint32_t day_of_era = (uint32_t)(days - era * 146097);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; /* from March */
    hn_civil civil;
    civil.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    civil.month = (int)(month < 10 ? month + 3 : month - 9);
    civil.year = (int64_t)year_of_era + era * 400 + (civil.month <= 2);
    return civil;
}

static inline int64_t hn_days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 730425;
}

#endif
