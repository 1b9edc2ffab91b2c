#include "base/yaml.h"

#include "base/test.h"

static struct yaml *member(struct yaml *map, const char *key)
{
    for (struct yaml *n = map->child; n != NULL; n = n->next) {
        if (strcmp(n->key, key) == 0)
            return n;
    }
    return NULL;
}

TEST(yaml_tree_keeps_keys_lists_and_lines)
{
    struct arena a;
    struct yaml *root = NULL;
    int line;
    const char *why;

    arena_init(&a, 1 << 20);
    const char *doc = "port: 7880\nrtc:\n  tcp_port: 7881\nbind:\n  - a\n  - \"\"\nnone:\n";
    EXPECT_EQ(yaml_read(bytes_str(doc), &a, &root, &line, &why), 0);
    EXPECT_EQ(root->kind, YAML_KIND_MAP);
    EXPECT_STR(member(root, "port")->text, "7880");
    struct yaml *tcp = member(member(root, "rtc"), "tcp_port");
    EXPECT_EQ(tcp->line, 3);
    struct yaml *bind = member(root, "bind");
    EXPECT_EQ(bind->kind, YAML_KIND_LIST);
    EXPECT_STR(bind->child->text, "a");
    EXPECT(bind->child->next->quoted);
    EXPECT_STR(member(root, "none")->text, "");
    arena_fini(&a);
}

TEST(yaml_refusals_name_the_line)
{
    static const struct {
        const char *doc;
        int line;
    } bad[] = {
        {"a: 1\nb: [\n", 3},      {"a: 1\na: 2\n", 2},   {"a: &x 1\nb: *x\n", 2},
        {"a: 1\n---\nb: 2\n", 2}, {"a: 1\n\tb: 2\n", 2}, {"? [a]\n: 1\n", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        struct yaml *root = NULL;
        int line = 0;
        const char *why = "";
        arena_init(&a, 1 << 20);
        EXPECT(yaml_read(bytes_str(bad[i].doc), &a, &root, &line, &why) < 0);
        EXPECT_EQ(line, bad[i].line);
        EXPECT(why[0] != '\0' && root == NULL);
        arena_fini(&a);
    }
}

FUZZ(yaml, in)
{
    struct arena a;
    struct yaml *root = NULL;
    int line;
    const char *why;

    arena_init(&a, 4 << 20);
    if (yaml_read(in, &a, &root, &line, &why) < 0)
        EXPECT(root == NULL && line >= 1 && why[0] != '\0');
    arena_fini(&a);
}
