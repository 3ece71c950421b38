#!/bin/sh
# Makes the secrets of compose.yaml in a new directory: random passwords, a signing key, and a certificate of its own for
# localhost, to be replaced by one that your clients' authority has signed.
#   sh deploy/make-secrets.sh DIRECTORY
set -eu
directory=${1:?usage: make-secrets.sh DIRECTORY}
# Nobody else gets into the directory. In a container the files belong to a stranger, so that they must be readable.
mkdir -m 700 "$directory"
cd "$directory"
umask 022
random() { openssl rand -hex 32; }

postgres_password=$(random)
redis_password=$(random)
printf %s "$postgres_password" > postgres_password
printf %s "$redis_password" > redis_password
printf %s "postgresql+psycopg://matching:$postgres_password@postgres:5432/matching" > MATCHING_DATABASE_URL
printf %s "redis://:$redis_password@redis:6379/0" > MATCHING_REDIS_URL
printf '{"keys": [{"id": "first", "secret": "%s"}]}\n' "$(random)" > keys.json
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,DNS:server,IP:127.0.0.1' -keyout tls.key -out tls.crt 2> /dev/null
# openssl gives keys to their owner alone.
chmod 644 tls.key
