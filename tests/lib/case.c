/* The parser of .case files: steps, cases, the file. Request lines are case_line.c's.
 *
 * It refuses unknown lines and cases that check nothing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/case_parse.h"

void gy_parse_fail(struct parser *p, const char *format, ...)
{
	va_list args;
	int n = snprintf(p->error, p->error_size, "%s:%u: ", p->name, p->line);

	va_start(args, format);
	if (n >= 0 && (size_t)n < p->error_size)
		vsnprintf(p->error + n, p->error_size - (size_t)n, format, args);
	va_end(args);
	longjmp(p->failed, 1);
}

void *gy_parse_take(struct parser *p, size_t size)
{
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		gy_parse_fail(p, "out of memory");
	block->next = p->memory->blocks;
	p->memory->blocks = block;
	return block->data;
}

char *gy_parse_copy(struct parser *p, const char *text, size_t len)
{
	char *s = gy_parse_take(p, len + 1);

	memcpy(s, text, len);
	return s;
}

void *gy_parse_grow(struct parser *p, const void *array, unsigned n, size_t element)
{
	void *bigger;

	if (n > 0 && (n & (n - 1)) != 0)
		return (void *)(uintptr_t)array;
	bigger = gy_parse_take(p, (n > 0 ? 2 * (size_t)n : 1) * element);
	if (n > 0)
		memcpy(bigger, array, n * element);
	return bigger;
}

/* ---- steps ---- */

static void check_step(struct parser *p, struct gy_case_step *step, const char *cursor)
{
	char *word = gy_parse_word(p, &cursor);
	const char *value;

	if (!word)
		gy_parse_fail(p, "check: S1 bal=.. res=.., or audit");
	if (strcmp(word, "audit") == 0) {
		step->kind = GY_CASE_AUDIT;
		if (gy_parse_word(p, &cursor))
			gy_parse_fail(p, "check audit stands alone");
		return;
	}
	step->kind = GY_CASE_CHECK;
	step->subscriber = gy_parse_subscriber(p, word);
	while ((word = gy_parse_word(p, &cursor))) {
		struct gy_case_bound *bound;

		if ((value = gy_parse_value(word, "bal")))
			bound = &step->balance;
		else if ((value = gy_parse_value(word, "res")))
			bound = &step->reserved;
		else
			gy_parse_fail(p, "check: unknown word '%s'", word);
		*bound = (struct gy_case_bound){ GY_CASE_EQUAL, gy_parse_money(p, value) };
	}
	if (!step->balance.test && !step->reserved.test)
		gy_parse_fail(p, "check: neither bal= nor res=");
}

/* A line that begins with a verb; false if it is a request. */
static bool verb_step(struct parser *p, struct gy_case_step *step)
{
	const char *cursor = step->text;
	char *verb = gy_parse_word(p, &cursor), *word;

	if (strcmp(verb, "check") == 0) {
		check_step(p, step, cursor);
		return true;
	}
	if (strcmp(verb, "sweep") == 0 || strcmp(verb, "restart") == 0) {
		step->kind = *verb == 's' ? GY_CASE_SWEEP : GY_CASE_RESTART;
	} else if (strcmp(verb, "bar") == 0 || strcmp(verb, "unbar") == 0 ||
		   strcmp(verb, "topup") == 0) {
		step->kind = *verb == 'b'   ? GY_CASE_BAR
			     : *verb == 'u' ? GY_CASE_UNBAR
					    : GY_CASE_TOPUP;
		word = gy_parse_word(p, &cursor);
		if (!word)
			gy_parse_fail(p, "%s: which subscriber?", verb);
		step->subscriber = gy_parse_subscriber(p, word);
		if (step->kind == GY_CASE_TOPUP) {
			word = gy_parse_word(p, &cursor);
			if (!word)
				gy_parse_fail(p, "topup: how much?");
			step->amount_micros = gy_parse_money(p, word);
		}
	} else if (strcmp(verb, "wait") == 0) {
		step->kind = GY_CASE_WAIT;
		word = gy_parse_word(p, &cursor);
		if (!word)
			gy_parse_fail(p, "wait: how long?");
		step->wait_us = gy_parse_duration(p, word);
	} else {
		return false;
	}
	word = gy_parse_word(p, &cursor);
	if (word)
		gy_parse_fail(p, "%s: '%s' is one word too many", verb, word);
	return true;
}

static struct gy_case_step step(struct parser *p, const char *line)
{
	struct gy_case_step s = { .kind = GY_CASE_REQUEST, .line = p->line, .text = line };
	const char *arrow;

	if (verb_step(p, &s))
		return s;
	arrow = strstr(line, "->");
	if (!arrow)
		gy_parse_fail(p,
			      "neither a step (check, bar, unbar, topup, wait, sweep, restart) nor "
			      "a request with its '-> result'");
	s.request = gy_parse_request(p, gy_parse_copy(p, line, (size_t)(arrow - line)));
	s.expect = gy_parse_expect(p, arrow + 2);
	if (s.expect->same && s.request->number != 0 && !p->last[s.request->session])
		gy_parse_fail(p, "same: no previous answer in this session");
	return s;
}

/* ---- cases ---- */

static void begin_case(struct parser *p, struct gy_case *made, const char *line)
{
	const char *cursor = line + 4;
	char *id = gy_parse_word(p, &cursor);

	if (!id)
		gy_parse_fail(p, "case: ID title");
	*made = (struct gy_case){ .id = id, .line = p->line };
	made->title = cursor + strspn(cursor, " \t");
}

static void end_case(struct parser *p, const struct gy_case *ended)
{
	const char *const *names = gy_parse_take(p, (ended->n_sessions + 1) * sizeof(*names));
	bool checks = false;

	p->line = ended->line;
	for (unsigned i = 0; i < ended->n_steps; i++)
		checks |= ended->steps[i].kind == GY_CASE_REQUEST ||
			  ended->steps[i].kind == GY_CASE_CHECK;
	if (!checks)
		gy_parse_fail(p, "case %s checks nothing", ended->id);
	memcpy((void *)(uintptr_t)names, p->sessions, ended->n_sessions * sizeof(*names));
	p->current->sessions = names;
}

/* The line without comment and surrounding blanks; NULL if nothing is left. */
static char *strip(struct parser *p, const char *start, const char *end)
{
	for (const char *c = start; c < end; c++)
		if (*c == '#' && (c == start || c[-1] == ' ' || c[-1] == '\t'))
			end = c;
	while (start < end && (*start == ' ' || *start == '\t'))
		start++;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return start < end ? gy_parse_copy(p, start, (size_t)(end - start)) : NULL;
}

static bool begins_case(const char *line)
{
	return strncmp(line, "case", 4) == 0 &&
	       (line[4] == '\0' || line[4] == ' ' || line[4] == '\t');
}

static void only(struct parser *p, const char *line)
{
	if (p->current->n_steps > 0 || p->current->wire_only || p->current->pure_only)
		gy_parse_fail(p, "%s stands once, directly after its case line", line);
	if (*line == 'w')
		p->current->wire_only = true;
	else
		p->current->pure_only = true;
}

static void file_lines(struct parser *p, struct gy_case_file *file, const char *text)
{
	struct gy_case current;
	const char *next = text;

	while (*next != '\0') {
		const char *end = next + strcspn(next, "\n");
		char *line;

		p->line++;
		line = strip(p, next, end);
		next = *end == '\n' ? end + 1 : end;
		if (!line)
			continue;
		if (begins_case(line)) {
			unsigned here = p->line;

			if (p->current) {
				end_case(p, p->current);
				APPEND(p, file->cases, file->n_cases, current);
			}
			p->line = here;
			begin_case(p, &current, line);
			p->current = &current;
			for (unsigned i = 0; i < file->n_cases; i++)
				if (strcmp(file->cases[i].id, current.id) == 0)
					gy_parse_fail(p, "case %s is already on line %u",
						      current.id, file->cases[i].line);
		} else if (!p->current) {
			gy_parse_fail(p, "a step before the first case");
		} else if (strcmp(line, "wire-only") == 0 || strcmp(line, "pure-only") == 0) {
			only(p, line);
		} else {
			struct gy_case_step made = step(p, line);

			APPEND(p, current.steps, current.n_steps, made);
		}
	}
	if (!p->current)
		gy_parse_fail(p, "no case in this file");
	end_case(p, p->current);
	APPEND(p, file->cases, file->n_cases, current);
}

/* ---- the file ---- */

static void free_memory(struct memory *memory)
{
	while (memory->blocks) {
		struct block *block = memory->blocks;

		memory->blocks = block->next;
		free(block);
	}
	free(memory);
}

struct gy_case_file *gy_case_parse(const char *name, const char *text, char *error,
				   size_t error_size)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	struct parser *p = calloc(1, sizeof(*p));
	struct gy_case_file *volatile file = NULL;

	if (!memory || !p) {
		snprintf(error, error_size, "%s: out of memory", name);
		free(memory);
		free(p);
		return NULL;
	}
	*p = (struct parser){
		.memory = memory, .name = name, .error = error, .error_size = error_size
	};
	if (setjmp(p->failed) == 0) {
		struct gy_case_file *made = gy_parse_take(p, sizeof(*made));

		made->name = gy_parse_copy(p, name, strlen(name));
		made->memory = memory;
		file_lines(p, made, text);
		file = made;
	} else {
		free_memory(memory);
		file = NULL;
	}
	free(p);
	return file;
}

struct gy_case_file *gy_case_read(const char *path, char *error, size_t error_size)
{
	struct gy_case_file *file = NULL;
	FILE *stream = fopen(path, "r");
	size_t size = 0, room = 65536, n;
	char *text = malloc(room);

	if (!stream || !text) {
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		goto out;
	}
	while ((n = fread(text + size, 1, room - size - 1, stream)) > 0) {
		char *bigger;

		size += n;
		if (size + 1 < room)
			continue;
		bigger = realloc(text, room *= 2);
		if (!bigger) {
			snprintf(error, error_size, "%s: out of memory", path);
			goto out;
		}
		text = bigger;
	}
	if (ferror(stream) || memchr(text, '\0', size)) {
		snprintf(error, error_size, "%s: not readable as text", path);
		goto out;
	}
	text[size] = '\0';
	file = gy_case_parse(path, text, error, error_size);
out:
	if (stream)
		fclose(stream);
	free(text);
	return file;
}

void gy_case_free(struct gy_case_file *file)
{
	if (file)
		free_memory(file->memory);
}
