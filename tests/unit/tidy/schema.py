#!/usr/bin/python3
"""Every table, column and view of the schema is commented; migrations are numbered without gaps.

schema.py ROOT    reads core/store/schema/*.sql as text; that they run is shown elsewhere
"""
import pathlib
import re
import sys

from tap import Tap

NAME = r'([a-z_][a-z0-9_]*)'


def stripped(sql):
    """Without comments and without function bodies."""
    sql = re.sub(r'\$(\w*)\$.*?\$\1\$', "''", sql, flags=re.S)
    return re.sub(r'--[^\n]*', '', sql)


def body(sql, start):
    """The text between the parenthesis at start and its partner."""
    depth = 0
    for i in range(start, len(sql)):
        depth += {'(': 1, ')': -1}.get(sql[i], 0)
        if depth == 0:
            return sql[start + 1:i]
    raise ValueError('a parenthesis is not closed')


def parts(text):
    """The comma-separated parts outside of parentheses."""
    depth, part, out = 0, '', []
    for c in text:
        depth += {'(': 1, ')': -1}.get(c, 0)
        if c == ',' and depth == 0:
            out.append(part)
            part = ''
        else:
            part += c
    return out + [part]


def tables(sql):
    """table -> columns"""
    found = {}
    for match in re.finditer(r'CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?gyro\.' + NAME + r'\s*(\(|PARTITION)', sql):
        if match.group(2) != '(':
            continue
        columns = []
        for part in parts(body(sql, match.end() - 1)):
            word = part.split()[0] if part.split() else ''
            if re.fullmatch(NAME, word):
                columns.append(word)
        found[match.group(1)] = columns
    for match in re.finditer(r'ALTER TABLE gyro\.' + NAME + r'\s+ADD COLUMN (?:IF NOT EXISTS )?' + NAME, sql):
        found.setdefault(match.group(1), []).append(match.group(2))
    return found


def comments(sql, kind, name):
    return {m.group(1).lower() for m in re.finditer(rf"COMMENT ON {kind} gyro\.({name})\s+IS\s+'[^']", sql)}


def faults(sql):
    sql = stripped(sql)
    made = tables(sql)
    on_tables = comments(sql, 'TABLE', r'\w+')
    on_columns = comments(sql, 'COLUMN', r'\w+\.\w+')
    on_views = comments(sql, 'VIEW', r'\w+')
    for table, columns in made.items():
        if table not in on_tables:
            yield f'table {table} has no comment'
        for column in columns:
            if f'{table}.{column}' not in on_columns:
                yield f'column {table}.{column} has no comment'
    for view in re.findall(r'CREATE (?:OR REPLACE )?VIEW gyro\.' + NAME, sql):
        if view not in on_views:
            yield f'view {view} has no comment'
    for column in on_columns:
        table, name = column.split('.')
        if name not in made.get(table, []):
            yield f'a comment on {column}, which no migration makes'


def number_faults(names):
    for expected, name in enumerate(sorted(names), 1):
        if not re.fullmatch(rf'{expected:03d}_[a-z_]+\.sql', name):
            yield f'{name}: expected {expected:03d}_name.sql'


def main():
    tap = Tap()
    migrations = sorted((pathlib.Path(sys.argv[1]) / 'core/store/schema').glob('*.sql'))
    sql = '\n'.join(m.read_text(encoding='utf-8') for m in migrations)
    count = sum(len(c) for c in tables(stripped(sql)).values())
    tap.none([] if count >= 50 else [f'only {count} columns found'], f'{count} columns looked at')
    tap.none(faults(sql), 'every table, column and view is commented')
    tap.none(number_faults([m.name for m in migrations]), f'{len(migrations)} migrations, numbered without gaps')
    tap.some(faults('CREATE TABLE gyro.t (a int, b int CHECK (b IN (1, 2)));\n'
                    "COMMENT ON TABLE gyro.t IS 't'; COMMENT ON COLUMN gyro.t.a IS 'a';"), 'a column without comment')
    tap.some(faults("CREATE TABLE gyro.t (a int); COMMENT ON COLUMN gyro.t.a IS 'a';"), 'a table without comment')
    tap.some(faults("CREATE VIEW gyro.v AS SELECT 1;"), 'a view without comment')
    tap.some(faults("COMMENT ON COLUMN gyro.t.gone IS 'gone';"), 'a comment on nothing')
    tap.some(number_faults(['001_a.sql', '003_b.sql']), 'a gap in the numbers')
    tap.done()


if __name__ == '__main__':
    main()
