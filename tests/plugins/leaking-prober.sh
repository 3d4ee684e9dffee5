#!/bin/sh
# A prober with descriptors that whoever started the host left open, and forgot to mark.
exec 5</etc/passwd 6</etc/passwd 7</etc/passwd 9</etc/passwd
exec "${0%/*}/billhook" "$@"
