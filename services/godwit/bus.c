/* SPDX-License-Identifier: MIT */
/* The commands of "godwit bus": their names and their help. */
#include "bus.h"

#include "bus_commands.h"

#define DIR_HELP "DIR is the bus's directory, or its URL bus:DIR; run/bus if it is left out.\n"

static const command commands[] = {
    {.name = "status",
     .options = OPTION_JSON,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit bus status: the bus as a whole\n"
             "\n"
             "usage: godwit bus status [option]... [DIR]\n"
             "\n"
             "  --json            a JSON object\n"
             "\n"
             "Its format version, whether damaged messages were set aside, numbers of queues\n"
             "and messages, its size on the disk, and the processes that have it open. A\n"
             "process number is that of its own container.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus status run/bus\n",
     .run = bus_status},
    {.name = "list",
     .options = OPTION_JSON | OPTION_WATCH,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit bus list: a table of the queues\n"
             "\n"
             "usage: godwit bus list [option]... [DIR]\n"
             "\n"
             "  --watch[=TIME]    again and again, each second or TIME (500ms, 3s, 1m), until\n"
             "                      Ctrl-C\n"
             "  --json            a JSON object on each line, with more numbers\n"
             "\n"
             "READY can be taken, LEASED is at consumers, DELAYED waits to be tried again.\n"
             "IN/S and OUT/S are messages a second that came in and were acknowledged,\n"
             "measured between two tables, without --watch during 0.3 seconds.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus list --watch\n",
     .run = bus_list},
    {.name = "peek",
     .options = OPTION_N | OPTION_FULL | OPTION_JSON,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit bus peek: messages of a queue, without taking them\n"
             "\n"
             "usage: godwit bus peek [option]... [DIR] QUEUE\n"
             "\n"
             "  -n NUMBER         show the first NUMBER messages (10)\n"
             "  --full            everything about each, as of 'godwit dead show'\n"
             "  --json            as of 'godwit dead export', with the state of each message\n"
             "\n"
             "In the order in which they will be taken, the delayed ones last; also those that\n"
             "are at consumers. Nobody notices.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus peek vip_queue -n 3 --full\n",
     .run = bus_peek},
    {.name = "publish",
     .options = OPTION_TARGET | OPTION_PROPERTIES,
     .n_words_min = 0,
     .n_words_max = -1,
     .help = "godwit bus publish: publish one message\n"
             "\n"
             "usage: godwit bus publish [option]... [DIR] QUEUE [BODY]\n"
             "       godwit bus publish [option]... [DIR] --exchange NAME [BODY]\n"
             "\n"
             "  --exchange NAME   to this exchange instead of a queue\n"
             "  --type TYPE       of it: direct (without the option), fanout, topic, headers\n"
             "  --key KEY         the routing key; the exchange's name without it\n"
             "  --message-id ID, --correlation-id ID, --reply-to NAME, --app-id TEXT,\n"
             "  --message-type TEXT, --content-type TEXT, --content-encoding TEXT,\n"
             "  --priority NUMBER, --expiration TIME (500ms, 3s, 1m)\n"
             "  --header NAME=VALUE   as often as needed\n"
             "\n"
             "Without BODY it is read from standard input. What is missing is made; that no\n"
             "queue takes the message is a failure. DIR is known by a '/', or by bus:DIR.\n"
             "\n"
             "example:\n"
             "  godwit bus publish vip_queue '{\"accountId\":\"10000\"}'\n",
     .run = bus_publish},
    {.name = "consume",
     .options = OPTION_N | OPTION_FOLLOW | OPTION_JSON | OPTION_BODY,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit bus consume: take messages out of a queue\n"
             "\n"
             "usage: godwit bus consume [option]... [DIR] QUEUE\n"
             "\n"
             "  -n NUMBER         NUMBER messages at most\n"
             "  --follow          wait for more when the queue is empty, until Ctrl-C\n"
             "  --body            write the bodies alone, a line break behind each\n"
             "  --json            a JSON object on each line, as of 'godwit dead export'\n"
             "\n"
             "Each message is acknowledged when it has been written: one that was not comes\n"
             "again. Services that consume from the queue do not get what is taken here.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus consume vip_queue -n 1\n",
     .run = bus_consume},
    {.name = "purge",
     .options = OPTION_YES | OPTION_JSON,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit bus purge: remove the messages of a queue for good\n"
             "\n"
             "usage: godwit bus purge --yes [option]... [DIR] QUEUE\n"
             "\n"
             "  --yes             that is meant\n"
             "  --json            the number of messages as a JSON object\n"
             "\n"
             "Those that are ready and those that are delayed; those at consumers stay.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus purge vip_queue --yes\n",
     .run = bus_purge},
    {.name = "limit",
     .options = OPTION_LIMITS,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit bus limit: how much a queue may hold\n"
             "\n"
             "usage: godwit bus limit option... [DIR] QUEUE\n"
             "\n"
             "  --max-messages NUMBER   0: no limit\n"
             "  --max-bytes NUMBER      0: no limit\n"
             "  --overflow POLICY       what becomes of a message for which there is no room:\n"
             "                            refuse        publishing it fails\n"
             "                            drop-oldest   the oldest one is dropped for it\n"
             "                            dead-letter   the oldest one moves to QUEUE.dead\n"
             "\n"
             "What is not given stays as it is. It applies to what is published from now on.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus limit vip_queue --max-messages 100000 --overflow drop-oldest\n",
     .run = bus_limit},
    {.name = "backup",
     .options = 0,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit bus backup: copy the bus, while it is used\n"
             "\n"
             "usage: godwit bus backup [DIR] TO\n"
             "\n"
             "TO is a directory that must not exist. It becomes a bus, with all messages and\n"
             "definitions of one moment; only temporary queues are left out. When the backup\n"
             "fails there is no TO.\n"
             "\n"
             "To go back to it: stop the services, and put a copy of TO in the place of DIR.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus backup run/bus /var/backups/bus-monday\n",
     .run = bus_backup},
    {.name = "recover",
     .options = 0,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit bus recover: a new bus from what can be read of a damaged one\n"
             "\n"
             "usage: godwit bus recover [DIR]\n"
             "\n"
             "Stop what uses it first. The damaged one is moved to DIR.damaged-TIME and the\n"
             "new one put in its place; what was recovered and lost is told for each queue. If\n"
             "the definitions cannot be read, the queues are made again from the messages'\n"
             "files; services declare exchanges and bindings again when they start.\n"
             "\n" DIR_HELP "\n"
             "example:\n"
             "  godwit bus recover run/bus\n",
     .run = bus_recover},
    {.name = "move",
     .options = OPTION_TO_URL | OPTION_DRY_RUN | OPTION_TIMEOUT | OPTION_JSON,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit bus move: move all messages to RabbitMQ\n"
             "\n"
             "usage: godwit bus move [option]... [DIR] --to URL\n"
             "\n"
             "  --to URL          the broker: amqp://user@host:5672/vhost?password_file=/path\n"
             "                      or " OPTIONS_URL_ENV ", with user and password\n"
             "  --dry-run         connect, and count only\n"
             "  --timeout TIME    longest wait for an answer: 500ms, 3s, 1m (" OPTIONS_TIMEOUT_TEXT
             ")\n"
             "  --json            the number of messages as a JSON object\n"
             "\n"
             "Each queue moves to the queue of its name, in order; delayed messages to their\n"
             "queue, at once. A message leaves the bus when the broker has confirmed it: cut\n"
             "off, it can be run again, and the last ones may then be there twice. Temporary\n"
             "queues are left out. Stop the services first, and start them with the new URL.\n"
             "\n"
             "example:\n"
             "  godwit bus move run/bus --to amqp://guest@rabbit:5672/?password_file=/run/pw\n",
     .run = bus_move},
};

const command_group bus_group = {
    .name = "bus",
    .help = "godwit bus: the embedded bus, for services that need no broker\n"
            "\n"
            "usage: godwit bus COMMAND [option]... [DIR] ...\n"
            "\n"
            "  status                  the bus as a whole, and who uses it\n"
            "  list                    the queues, with --watch as a live table\n"
            "  peek QUEUE              show messages without taking them\n"
            "  publish QUEUE [BODY]    publish one message, or to --exchange NAME\n"
            "  consume QUEUE           take messages, and write them\n"
            "  purge QUEUE             remove all messages of a queue\n"
            "  limit QUEUE             how much a queue may hold\n"
            "  backup TO               copy it while it is used\n"
            "  recover                 save what can be read of a damaged one\n"
            "  move                    move all messages to RabbitMQ\n"
            "\n"
            "DIR is the bus's directory, or its URL bus:DIR; run/bus if it is left out.\n"
            "Services may run, but for recover. 'godwit bus COMMAND --help' has the options.\n"
            "\n"
            "example:\n"
            "  godwit bus list --watch\n",
    .commands = commands,
    .n_commands = sizeof(commands) / sizeof(commands[0]),
};
