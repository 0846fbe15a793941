# Completes the last word of a line, as fish does when somebody presses Tab, and prints what it offers.
#
# usage: fish complete.fish COMPLETIONS LINE
source $argv[1]
complete --do-complete $argv[2] | string split --fields 1 \t
# It fails if there was nothing.
exit 0
