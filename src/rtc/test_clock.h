/* rtc/test_clock.h - the wall clock of the test program.
 *
 * usrsctp and OpenSSL call gettimeofday(); assoc_test.c defines it to answer with this
 * variable, so that what they repeat in tests is repeated on virtual time.
 */
#ifndef RTC_TEST_CLOCK_H
#define RTC_TEST_CLOCK_H

#include "base/base.h"

extern us_t test_clock;

#endif
