#include "wire/sdpfrag.h"

#include "base/err.h"
#include "wire/candidate.h"

/* RFC 8839 s5.4 */
enum { UFRAG_MIN = 4, PWD_MIN = 22, ICE_TEXT_MAX = 256 };

static const char ufrag_word[] = "a=ice-ufrag:", pwd_word[] = "a=ice-pwd:";

static bool is_ice_text(struct bytes t, size_t min)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = (char)t.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '/';
        if (!ok)
            return false;
    }
    return t.len >= min && t.len <= ICE_TEXT_MAX;
}

/* The next line without its end; some clients end lines with LF alone. */
static struct bytes next_line(struct bytes *rest)
{
    size_t n = 0;

    while (n < rest->len && rest->p[n] != '\n')
        n++;
    struct bytes line = bytes_of(rest->p, n);
    n += n < rest->len;
    *rest = bytes_of(rest->p + n, rest->len - n);
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool starts(struct bytes line, const char *word, struct bytes *rest)
{
    size_t n = strlen(word);

    if (line.len < n || memcmp(line.p, word, n) != 0)
        return false;
    *rest = bytes_of(line.p + n, line.len - n);
    return true;
}

static int take(struct bytes *field, struct bytes value, size_t min)
{
    if (!is_ice_text(value, min))
        return E_MALFORMED;
    if (field->len > 0 && (field->len != value.len || memcmp(field->p, value.p, value.len) != 0))
        return E_MALFORMED; /* one bundle, one agent */
    *field = value;
    return 0;
}

static int read_line(struct sdpfrag *f, struct bytes line)
{
    struct bytes value;
    struct candidate c;

    if (line.len == 0)
        return 0;
    if (line.len < 2 || line.p[1] != '=' || line.p[0] < 'a' || line.p[0] > 'z')
        return E_MALFORMED;
    if (starts(line, ufrag_word, &value))
        return take(&f->ufrag, value, UFRAG_MIN);
    if (starts(line, pwd_word, &value))
        return take(&f->pwd, value, PWD_MIN);
    if (starts(line, "a=candidate:", &value)) {
        bool known = candidate_parse(&c, line) == 0;
        f->candidate_n += known;
        f->strange_n += !known;
    } else if (starts(line, "a=end-of-candidates", &value)) {
        f->end_of_candidates = true;
    }
    return 0;
}

int sdpfrag_read(struct sdpfrag *f, struct bytes text)
{
    struct sdpfrag got = {0};
    uint32_t lines = 0;

    if (text.len > SDPFRAG_BYTES_MAX)
        return E_TOO_LARGE;
    while (text.len > 0) {
        if (++lines > SDPFRAG_LINES_MAX)
            return E_TOO_LARGE;
        int err = read_line(&got, next_line(&text));
        if (err != 0)
            return err;
    }
    if (lines == 0 || (got.ufrag.len == 0) != (got.pwd.len == 0))
        return E_MALFORMED;
    *f = got;
    return 0;
}

void sdpfrag_replace(struct str *out, struct bytes sdp, struct bytes ufrag, struct bytes pwd)
{
    struct bytes value;

    while (sdp.len > 0) {
        struct bytes line = next_line(&sdp);
        if (starts(line, ufrag_word, &value)) {
            str_add(out, ufrag_word);
            str_add_bytes(out, ufrag);
        } else if (starts(line, pwd_word, &value)) {
            str_add(out, pwd_word);
            str_add_bytes(out, pwd);
        } else {
            str_add_bytes(out, line);
        }
        str_add(out, "\r\n");
    }
}
