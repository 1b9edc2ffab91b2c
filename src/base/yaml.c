#include "base/yaml.h"

#include "base/err.h"

#include <yaml.h>

struct build {
    yaml_parser_t parser;
    struct arena *arena;
    uint32_t nodes;
    int line;
    const char *why;
};

static int refuse(struct build *b, int line, const char *why)
{
    b->line = line;
    b->why = why;
    return E_MALFORMED;
}

/* The next event; the caller deletes it. */
static int next_event(struct build *b, yaml_event_t *ev)
{
    if (yaml_parser_parse(&b->parser, ev))
        return 0;
    return refuse(b, (int)b->parser.problem_mark.line + 1,
                  "this is not valid YAML; look at quotes and indentation");
}

static struct yaml *new_node(struct build *b, enum yaml_kind kind, const yaml_event_t *ev,
                             const char *key)
{
    struct yaml *n = NULL;

    if (b->nodes++ < YAML_NODES_MAX)
        n = arena_zero(b->arena, sizeof *n);
    if (n == NULL) {
        (void)refuse(b, (int)ev->start_mark.line + 1, "the document is too large");
        return NULL;
    }
    n->kind = kind;
    n->line = (int)ev->start_mark.line + 1;
    n->key = key;
    n->text = "";
    return n;
}

static int read_node(struct build *b, const yaml_event_t *ev, const char *key, int depth,
                     struct yaml **out);

static bool already(const struct yaml *list, const char *key)
{
    for (; list != NULL; list = list->next) {
        if (strcmp(list->key, key) == 0)
            return true;
    }
    return false;
}

/* The members of a mapping or the elements of a list, up to the end event. */
static int read_children(struct build *b, struct yaml *parent, int depth)
{
    struct yaml **tail = &parent->child;

    for (;;) {
        yaml_event_t ev;
        const char *key = NULL;
        int err = next_event(b, &ev);
        if (err < 0)
            return err;
        int line = (int)ev.start_mark.line + 1;
        bool end = ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
        if (!end && parent->kind == YAML_KIND_MAP) {
            if (ev.type != YAML_SCALAR_EVENT)
                err = refuse(b, line, "a key must be plain text");
            else if ((key = arena_dup_str(b->arena, (char *)ev.data.scalar.value)) == NULL)
                err = refuse(b, line, "the document is too large");
            else if (already(parent->child, key))
                err = refuse(b, line, "this key stands here twice; remove one");
            yaml_event_delete(&ev);
            if (err == 0)
                err = next_event(b, &ev);
            if (err < 0)
                return err;
        }
        if (!end) {
            err = read_node(b, &ev, key, depth + 1, tail);
            if (err == 0) {
                (*tail)->line = line; /* the key's, not that of its value's first line */
                tail = &(*tail)->next;
            }
        }
        yaml_event_delete(&ev);
        if (end || err < 0)
            return err;
    }
}

static int read_scalar(struct build *b, const yaml_event_t *ev, struct yaml *n)
{
    const char *text = (const char *)ev->data.scalar.value;

    if (strlen(text) != ev->data.scalar.length)
        return refuse(b, n->line, "text with a NUL character");
    n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!n->quoted && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0))
        text = "";
    n->text = arena_dup_str(b->arena, text);
    return n->text != NULL ? 0 : refuse(b, n->line, "the document is too large");
}

static int read_node(struct build *b, const yaml_event_t *ev, const char *key, int depth,
                     struct yaml **out)
{
    int line = (int)ev->start_mark.line + 1;
    enum yaml_kind kind = YAML_KIND_SCALAR;

    if (depth > YAML_DEPTH_MAX)
        return refuse(b, line, "nested too deeply");
    if (ev->type == YAML_MAPPING_START_EVENT)
        kind = YAML_KIND_MAP;
    else if (ev->type == YAML_SEQUENCE_START_EVENT)
        kind = YAML_KIND_LIST;
    else if (ev->type != YAML_SCALAR_EVENT)
        return refuse(b, line, "anchors and aliases are not read here; write the value itself");
    struct yaml *n = new_node(b, kind, ev, key);
    if (n == NULL)
        return E_TOO_LARGE;
    int err = kind == YAML_KIND_SCALAR ? read_scalar(b, ev, n) : read_children(b, n, depth);
    if (err == 0)
        *out = n;
    return err;
}

/* stream start, document start, node, document end, stream end */
static int read_stream(struct build *b, struct yaml **root)
{
    bool have = false;

    for (;;) {
        yaml_event_t ev;
        int err = next_event(b, &ev);
        if (err < 0)
            return err;
        yaml_event_type_t type = ev.type;
        if (type == YAML_DOCUMENT_START_EVENT && have)
            err = refuse(b, (int)ev.start_mark.line + 1, "a second document begins here");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                 type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
            err = read_node(b, &ev, NULL, 0, root);
            have = true;
        }
        yaml_event_delete(&ev);
        if (err < 0 || type == YAML_STREAM_END_EVENT)
            return err;
    }
}

int yaml_read(struct bytes text, struct arena *arena, struct yaml **root, int *line,
              const char **why)
{
    struct build b = {.arena = arena, .why = "", .line = 1};
    struct yaml *got = NULL;

    if (text.len > YAML_BYTES_MAX) {
        *line = 1;
        *why = "the document is too large";
        return E_TOO_LARGE;
    }
    if (!yaml_parser_initialize(&b.parser))
        return E_NOMEM;
    yaml_parser_set_input_string(&b.parser, text.p != NULL ? text.p : (const uint8_t *)"",
                                 text.len);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    int err = read_stream(&b, &got);
    yaml_parser_delete(&b.parser);
    if (err < 0) {
        *line = b.line;
        *why = b.why;
        return err;
    }
    *root = got;
    return 0;
}
