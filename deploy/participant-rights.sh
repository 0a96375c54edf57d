#!/usr/bin/env bash
# Gives a user of RabbitMQ the rights that a Snorri participant needs, and no others.
#
#   deploy/participant-rights.sh USER QUEUE EXCHANGE REPLY_EXCHANGE [COMMANDS]
#
# USER            a user that exists (rabbitmqctl add_user)
# QUEUE           the participant's own queue
# EXCHANGE        the exchange that its commands are published to
# REPLY_EXCHANGE  the setting `broker.reply_exchange` of Snorri
# COMMANDS        a regular expression of the routing keys that it may bind its queue to; all, if it is left out
#
# The virtual host is that of the environment variable VHOST, or /. RABBITMQCTL is the program to run, if it is not
# rabbitmqctl. Names have letters, digits, dots, dashes and underscores.
set -euo pipefail

die() { echo "participant-rights: $*" >&2; exit 2; }

(($# == 4 || $# == 5)) || die "usage: $0 USER QUEUE EXCHANGE REPLY_EXCHANGE [COMMANDS]"
readonly user=$1 queue=$2 exchange=$3 reply_exchange=$4 commands=${5:-.*} vhost=${VHOST:-/}
for name in "$queue" "$exchange" "$reply_exchange"; do
    [[ $name =~ ^[A-Za-z0-9._-]+$ ]] || die "not a name that this script can quote: '$name'"
done

quoted() { echo "${1//./\\.}"; }

queue_pattern=$(quoted "$queue") exchange_pattern=$(quoted "$exchange") reply_pattern=$(quoted "$reply_exchange")
# Declares its queue; binds it (write on the queue, read on the exchange), consumes it, and replies.
"${RABBITMQCTL:-rabbitmqctl}" set_permissions -p "$vhost" "$user" \
    "^$queue_pattern\$" "^($queue_pattern|$reply_pattern)\$" "^($queue_pattern|$exchange_pattern)\$"
# Binds it to its commands only, and publishes none.
"${RABBITMQCTL:-rabbitmqctl}" set_topic_permissions -p "$vhost" "$user" "$exchange" '^$' "^($commands)\$"
