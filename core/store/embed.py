#!/usr/bin/python3
"""Makes statement.h and statement.c of statement/*.sql: one prepared statement a file.

embed.py SQL_DIR OUT_DIR
"""
import pathlib
import sys

C_ESCAPES = {'\\': '\\\\', '"': '\\"', '\n': '\\n'}


def c_string(text):
    lines = text.splitlines(keepends=True)
    return '\n\t\t'.join('"' + ''.join(C_ESCAPES.get(c, c) for c in line) + '"' for line in lines)


def main():
    sql_dir, out = map(pathlib.Path, sys.argv[1:3])
    files = sorted(sql_dir.glob('*.sql'))
    out.mkdir(parents=True, exist_ok=True)
    names = [f.stem for f in files]
    (out / 'statement.h').write_text(
        '/* Made by core/store/embed.py of core/store/statement. */\n'
        '#ifndef GY_STORE_STATEMENT_H\n#define GY_STORE_STATEMENT_H\n\n'
        'enum gy_sql {\n' + ''.join(f'\tGY_SQL_{n.upper()},\n' for n in names) +
        '\tGY_SQL_COUNT\n};\n\n'
        'extern const char *const gy_sql_name[GY_SQL_COUNT];\n'
        'extern const char *const gy_sql_text[GY_SQL_COUNT];\n\n#endif\n')
    (out / 'statement.c').write_text(
        '/* Made by core/store/embed.py of core/store/statement. */\n'
        '#include "core/store/statement.h"\n\n'
        'const char *const gy_sql_name[GY_SQL_COUNT] = {\n' +
        ''.join(f'\t[GY_SQL_{n.upper()}] = "{n}",\n' for n in names) + '};\n\n'
        'const char *const gy_sql_text[GY_SQL_COUNT] = {\n' +
        ''.join(f'\t[GY_SQL_{n.upper()}] =\n\t\t{c_string(f.read_text())},\n'
                for n, f in zip(names, files)) + '};\n')


if __name__ == '__main__':
    main()
