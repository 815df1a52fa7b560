-- What `make test-clients` checks the Lua with.
std = "luajit"
globals = { "vim" }
max_line_length = 130
