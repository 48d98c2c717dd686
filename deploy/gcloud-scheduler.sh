#!/usr/bin/env bash
# Lets Cloud Scheduler start the syncs of LLMHive on Cloud Run. May be run again: it then brings the jobs up to date.
#
#     PROJECT=my-project REGION=europe-west1 SERVICE_URL=https://llmhive-….run.app deploy/gcloud-scheduler.sh
#
# Who runs it needs the right to act as the service account (roles/iam.serviceAccountUser).
set -euo pipefail

PROJECT="${PROJECT:?the id of the project}"
REGION="${REGION:?the region of the service, which must be one that Cloud Scheduler has}"
SERVICE_URL="${SERVICE_URL:?the base URL of the service, the same as in AUTH_OIDC_AUDIENCE}"
SERVICE_URL="${SERVICE_URL%/}"
# The one in AUTH_OIDC_ACCOUNTS.
SERVICE_ACCOUNT="${SERVICE_ACCOUNT:-llmhive-scheduler@$PROJECT.iam.gserviceaccount.com}"
SERVICE="${SERVICE:-llmhive}"

# Above SYNC_TIMEOUT_SECONDS (300): an attempt that is given up ends the request, and with request-based CPU the sync
# would get no more of it. Twice that, since it may first wait for a run of the other kind. Cloud Scheduler allows 15 s
# to 30 min. The same as timeoutSeconds in deploy/cloud-run.yaml.
ATTEMPT_DEADLINE="${ATTEMPT_DEADLINE:-900s}"

# "create", or "update" where the job is already there.
verb() {
  if gcloud scheduler jobs describe "$1" --project="$PROJECT" --location="$REGION" >/dev/null 2>&1; then
    echo update
  else
    echo create
  fi
}

if ! gcloud iam service-accounts describe "$SERVICE_ACCOUNT" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create "${SERVICE_ACCOUNT%%@*}" \
    --project="$PROJECT" \
    --display-name="Starts the syncs of LLMHive"
fi

gcloud run services add-iam-policy-binding "$SERVICE" \
  --project="$PROJECT" \
  --region="$REGION" \
  --member="serviceAccount:$SERVICE_ACCOUNT" \
  --role=roles/run.invoker

# LLMHive accepts each token once (AUTH_OIDC_SINGLE_USE); Cloud Scheduler makes a new one for each attempt.
# An answer other than 2xx is tried again: 502 (OpenRouter failed), 503 (database), and 409 (held), where it does no harm.

# Every six hours, as SYNC_SCHEDULE says. /sync/blocking: answered when the run has ended, so that it has CPU until then.
gcloud scheduler jobs "$(verb llmhive-sync)" http llmhive-sync \
  --project="$PROJECT" \
  --location="$REGION" \
  --description="LLMHive: regular sync" \
  --schedule="0 */6 * * *" \
  --time-zone=Etc/UTC \
  --uri="$SERVICE_URL/api/openrouter/sync/blocking" \
  --http-method=POST \
  --oidc-service-account-email="$SERVICE_ACCOUNT" \
  --oidc-token-audience="$SERVICE_URL" \
  --attempt-deadline="$ATTEMPT_DEADLINE" \
  --max-retry-attempts=2 \
  --min-backoff=120s \
  --max-backoff=600s

# Every week, as RESEARCH_SCHEDULE says: rankings, benchmarks, every endpoint.
gcloud scheduler jobs "$(verb llmhive-research)" http llmhive-research \
  --project="$PROJECT" \
  --location="$REGION" \
  --description="LLMHive: research sync" \
  --schedule="0 3 * * 0" \
  --time-zone=Etc/UTC \
  --uri="$SERVICE_URL/api/openrouter/sync/research?blocking=true" \
  --http-method=POST \
  --oidc-service-account-email="$SERVICE_ACCOUNT" \
  --oidc-token-audience="$SERVICE_URL" \
  --attempt-deadline="$ATTEMPT_DEADLINE" \
  --max-retry-attempts=2 \
  --min-backoff=120s \
  --max-backoff=600s
