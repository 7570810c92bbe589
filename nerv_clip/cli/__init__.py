"""The command line: parser, options, commands, terminal. Nothing else in the core imports it."""
