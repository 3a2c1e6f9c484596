/* See lines.h. */
#include "deploy/gyroctl/lines.h"

#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <yaml.h>

#include "core/base/assert.h"

struct gy_lines {
	yaml_document_t document;
};

static int lines_free(struct gy_lines *lines)
{
	yaml_document_delete(&lines->document);
	return 0;
}

struct gy_lines *gy_lines_read(void *pool, const char *data, size_t size, int *line,
			       const char **reason)
{
	struct gy_lines *lines = talloc_zero(pool, struct gy_lines);
	yaml_parser_t parser;
	int started = yaml_parser_initialize(&parser);

	gy_assert(lines && started);
	yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
	if (yaml_parser_load(&parser, &lines->document)) {
		talloc_set_destructor(lines, lines_free);
	} else {
		*line = (int)parser.problem_mark.line + 1;
		*reason = talloc_strdup(pool,
					parser.problem ? parser.problem : "not readable as YAML");
		/* An octet that is no UTF-8 has an offset, but no mark. */
		if (parser.error == YAML_READER_ERROR) {
			*line = 1;
			for (size_t i = 0; i < size && i < parser.problem_offset; i++)
				*line += data[i] == '\n';
		}
		talloc_free(lines);
		lines = NULL;
	}
	yaml_parser_delete(&parser);
	return lines;
}

/* The value of a key (length n) in a mapping, 0 if there is none. */
static int value_of(yaml_document_t *document, const yaml_node_t *mapping, const char *key,
		    size_t n)
{
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	     pair < mapping->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = yaml_document_get_node(document, pair->key);

		if (name && name->type == YAML_SCALAR_NODE && name->data.scalar.length == n &&
		    memcmp(name->data.scalar.value, key, n) == 0)
			return pair->value;
	}
	return 0;
}

/* The node at a path, or NULL; *line is of the last part that is there. */
static const yaml_node_t *walk(struct gy_lines *lines, const char *path, int *line)
{
	yaml_document_t *document = &lines->document;
	const yaml_node_t *node = yaml_document_get_root_node(document);

	*line = node ? (int)node->start_mark.line + 1 : 1;
	while (node && *path) {
		size_t n = strcspn(path, "/");
		int next = 0;

		if (node->type == YAML_MAPPING_NODE) {
			next = value_of(document, node, path, n);
		} else if (node->type == YAML_SEQUENCE_NODE) {
			int i = atoi(path);

			if (i >= 0 &&
			    i < node->data.sequence.items.top - node->data.sequence.items.start)
				next = node->data.sequence.items.start[i];
		}
		node = next ? yaml_document_get_node(document, next) : NULL;
		if (node)
			*line = (int)node->start_mark.line + 1;
		path += n + (path[n] == '/');
	}
	return node;
}

int gy_lines_find(struct gy_lines *lines, const char *path)
{
	int line;

	walk(lines, path, &line);
	return line;
}

int gy_lines_pair(struct gy_lines *lines, const char *path, int n, const char **key,
		  const char **value)
{
	int line;
	const yaml_node_t *node = walk(lines, path, &line), *one, *other;
	const yaml_node_pair_t *pair;

	if (!node)
		return 0;
	if (node->type != YAML_MAPPING_NODE)
		return -1;
	pair = node->data.mapping.pairs.start + n;
	if (pair >= node->data.mapping.pairs.top)
		return 0;
	one = yaml_document_get_node(&lines->document, pair->key);
	other = yaml_document_get_node(&lines->document, pair->value);
	if (!one || !other || one->type != YAML_SCALAR_NODE || other->type != YAML_SCALAR_NODE)
		return -1;
	*key = (const char *)one->data.scalar.value;
	*value = (const char *)other->data.scalar.value;
	return 1;
}
