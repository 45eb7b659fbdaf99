/* main.c -- the program's entry; everything else is in the library, where tests reach it. */
#include "cli/command.h"

int main(int argc, char **argv) { return cli_main(argc, argv); }
