#!/usr/bin/env bash
# Gives a RabbitMQ user exactly the rights that a Snorri participant needs.
#
#   deploy/participant-rights.sh USER QUEUE EXCHANGE REPLY_EXCHANGE [COMMANDS]
#
# USER            an existing user (rabbitmqctl add_user)
# QUEUE           the participant's own queue
# EXCHANGE        the exchange that its commands are published to
# REPLY_EXCHANGE  the setting `broker.reply_exchange` of Snorri
# COMMANDS        a regular expression of the routing keys that it may bind its queue to; default: all
#
# Environment: VHOST is the virtual host, / by default; RABBITMQCTL is the program to run, rabbitmqctl by default.
# Names consist of letters, digits, dots, dashes and underscores.
set -euo pipefail

die() { echo "participant-rights: $*" >&2; exit 2; }

(($# == 4 || $# == 5)) || die "usage: $0 USER QUEUE EXCHANGE REPLY_EXCHANGE [COMMANDS]"
readonly user=$1 queue=$2 exchange=$3 reply_exchange=$4 commands=${5:-.*} vhost=${VHOST:-/}
for name in "$queue" "$exchange" "$reply_exchange"; do
    [[ $name =~ ^[A-Za-z0-9._-]+$ ]] || die "invalid name: '$name': use letters, digits, dots, dashes and underscores"
done

escape_dots() { echo "${1//./\\.}"; }

queue_pattern=$(escape_dots "$queue") exchange_pattern=$(escape_dots "$exchange")
reply_pattern=$(escape_dots "$reply_exchange")
# The right to declare its queue, bind it (write on the queue, read on the exchange), consume it, and reply.
"${RABBITMQCTL:-rabbitmqctl}" set_permissions -p "$vhost" "$user" \
    "^$queue_pattern\$" "^($queue_pattern|$reply_pattern)\$" "^($queue_pattern|$exchange_pattern)\$"
# The right to bind its commands only, and to publish none.
"${RABBITMQCTL:-rabbitmqctl}" set_topic_permissions -p "$vhost" "$user" "$exchange" '^$' "^($commands)\$"
