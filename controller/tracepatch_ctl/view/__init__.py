"""How traces, tables and sentences look in a terminal or a file."""
