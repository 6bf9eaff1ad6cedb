"""The database: batches in, named queries out. The only package that imports psycopg."""
