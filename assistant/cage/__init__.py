"""Inside the sandbox's own process: it confines one command and watches it.  Started by `assistant.sandbox`."""
