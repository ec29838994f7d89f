{{/* Settings and secrets: the chart's own win over those of `global`; each service takes what it
reads (files/settings.json) and nothing else. */}}

{{/* A value as its environment variable has it: mappings as JSON, lists by comma, no 1e+06. */}}
{{- define "gca.text" -}}
{{- if kindIs "map" . -}}
{{ toJson . }}
{{- else if kindIs "slice" . -}}
{{- range $index, $item := . }}{{ if $index }},{{ end }}{{ include "gca.text" $item }}{{ end -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ printf "%.0f" . }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end }}

{{/* The settings that are given, as JSON. */}}
{{- define "gca.settings" -}}
{{- $root := . -}}
{{- $found := dict -}}
{{- range (include "gca.facts" . | fromJson).settings -}}
{{- $name := . -}}
{{- range list $root.Values.global.settings $root.Values.settings -}}
{{- if and . (hasKey . $name) -}}
{{- $value := get . $name -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $found $name }}
{{- else }}{{ $_ := set $found $name (include "gca.text" $value) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $found }}
{{- end }}

{{/* Arguments: root, names, places. The references that are given for these names, as JSON; the
last place that has one wins, and one without a name takes it away. */}}
{{- define "gca.references" -}}
{{- $found := dict -}}
{{- range $name := .names -}}
{{- range $place := $.places -}}
{{- $reference := get ($place | default dict) $name -}}
{{- if $reference -}}
{{- if $reference.name }}{{ $_ := set $found $name (pick $reference "name" "key") }}
{{- else }}{{ $_ := unset $found $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $found }}
{{- end }}

{{/* Secrets of the service's own pods, as JSON. */}}
{{- define "gca.secrets" -}}
{{- $names := (include "gca.facts" . | fromJson).secrets -}}
{{ include "gca.references" (dict "names" $names "places" (list .Values.global.secrets .Values.secrets)) }}
{{- end }}

{{/* Secrets of its Jobs, as JSON: the model's go nowhere else. */}}
{{- define "gca.jobSecrets" -}}
{{- $names := (include "gca.facts" . | fromJson).jobSecrets -}}
{{- $places := list .Values.global.secrets .Values.secrets .Values.job.secrets -}}
{{ include "gca.references" (dict "names" $names "places" $places) }}
{{- end }}

{{/* Ends the rendering with a sentence where a setting stands in the wrong place. */}}
{{- define "gca.checked" -}}
{{- $facts := include "gca.facts" . | fromJson -}}
{{- $given := include "gca.settings" . | fromJson -}}
{{- range $where, $settings := dict "settings" .Values.settings "global.settings" .Values.global.settings -}}
{{- range $name, $_ := $settings -}}
{{- if has $name $facts.allSecrets -}}
{{- fail (printf "%s.%s: is a secret and must not be in values; put it into a Secret and name that: secrets.%s: {name: …, key: …}" $where $name $name) -}}
{{- end -}}
{{- with get $facts.owned $name -}}
{{- fail (printf "%s.%s: set the value %s instead" $where $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (get $given "GITLAB_URL") -}}
{{- fail "settings.GITLAB_URL: is not set; the address of GitLab, such as https://gitlab.example.com (in the chart stack: global.settings.GITLAB_URL)" -}}
{{- end -}}
{{- if and $facts.modelSecrets (not (get $given "COPILOT_PROVIDER_TYPE")) (not (get (include "gca.jobSecrets" . | fromJson) "GITHUB_TOKEN")) -}}
{{- fail "job.secrets.GITHUB_TOKEN: is not set; name the Secret of a GitHub account with Copilot, or set settings.COPILOT_PROVIDER_TYPE for another model (in the chart stack: global.secrets.GITHUB_TOKEN, global.settings.COPILOT_PROVIDER_TYPE)" -}}
{{- end -}}
{{- end }}

{{- define "gca.natsUrl" -}}
{{ .Values.global.natsUrl | default (printf "nats://%s-nats:4222" (include "gca.prefix" .)) }}
{{- end }}

{{/* All environment variables of the service's container, sorted by name. */}}
{{- define "gca.environment" -}}
{{- $facts := include "gca.facts" . | fromJson -}}
{{- $found := dict "NATS_URL" (include "gca.natsUrl" .) "HEALTH_HOST" "0.0.0.0" "HOME" "/tmp" -}}
{{- if .Values.natsCredentials.enabled }}{{ $_ := set $found "NATS_CREDENTIALS" "/etc/gca/nats/nats.nk" }}{{ end -}}
{{- if .Values.global.caConfigMap }}{{ $_ := set $found "CA_BUNDLE" "/etc/gca/ca/ca.crt" }}{{ end -}}
{{- range $name, $_ := include "gca.secrets" . | fromJson -}}
{{- $_ := set $found (printf "%s_FILE" $name) (printf "/etc/gca/secrets/%s" $name) -}}
{{- end -}}
{{- $found = merge $found (include (printf "gca.own.%s" .Chart.Name) . | fromJson) -}}
{{- $found = mergeOverwrite $found (include "gca.settings" . | fromJson) -}}
{{- range $name, $value := $found }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What each service is told by its chart alone. */}}
{{- define "gca.own.ingest" -}}
{{ dict "TASK_DOOR_HOST" "0.0.0.0" "HOST" "0.0.0.0" "PORT" "8000" "TASK_DOOR_PORT" "8001" | toJson }}
{{- end }}

{{- define "gca.own.publisher" -}}
{{ dict "CLONE_DIR" "/work/clones" | toJson }}
{{- end }}

{{- define "gca.own.reviewer" -}}
{{ include "gca.own.jobs" . }}
{{- end }}

{{- define "gca.own.coder" -}}
{{ include "gca.own.jobs" . }}
{{- end }}

{{- define "gca.own.jobs" -}}
{{- $job := .Values.job -}}
{{- $pull := $job.imagePullSecrets -}}
{{- if not $pull }}{{ $pull = list }}{{ range .Values.global.imagePullSecrets }}{{ $pull = append $pull .name }}{{ end }}{{ end -}}
{{- $found := dict
  "TASK_EXECUTOR" "kubernetes"
  "TASK_DOOR_URL" (printf "http://%s-task-door:8001" (include "gca.prefix" .))
  "TASK_STATE_DIR" "/tmp/tasks"
  "CLONE_DIR" "/tmp/clones"
  "K8S_NAMESPACE" .Release.Namespace
  "K8S_JOB_IMAGE" (include "gca.image" (dict "root" . "image" $job.image))
  "K8S_JOB_IMAGE_PULL_POLICY" $job.image.pullPolicy
  "K8S_JOB_CPU_LIMIT" (include "gca.text" $job.cpu)
  "K8S_JOB_MEMORY_LIMIT" $job.memory
  "K8S_JOB_STORAGE_LIMIT" $job.storage
  "K8S_JOB_START_TIMEOUT" (include "gca.text" $job.startTimeout)
  "K8S_JOB_TTL" (include "gca.text" $job.ttl)
  "K8S_JOB_SECRETS" (include "gca.jobSecrets" .)
-}}
{{- with $job.timeout }}{{ $_ := set $found "K8S_JOB_TIMEOUT" (include "gca.text" .) }}{{ end -}}
{{- with .Values.global.caConfigMap }}{{ $_ := set $found "K8S_JOB_CA_CONFIGMAP" . }}{{ end -}}
{{- with $job.hostAliases }}{{ $_ := set $found "K8S_JOB_HOST_ALIASES" (toJson .) }}{{ end -}}
{{- with $job.nodeSelector }}{{ $_ := set $found "K8S_JOB_NODE_SELECTOR" (toJson .) }}{{ end -}}
{{- with $job.tolerations }}{{ $_ := set $found "K8S_JOB_TOLERATIONS" (toJson .) }}{{ end -}}
{{- with $pull }}{{ $_ := set $found "K8S_JOB_IMAGE_PULL_SECRETS" (join "," .) }}{{ end -}}
{{- with $job.extraEnv -}}
{{- $extra := dict -}}
{{- range $name, $value := . }}{{ $_ := set $extra $name (include "gca.text" $value) }}{{ end -}}
{{- $_ := set $found "K8S_JOB_EXTRA_ENV" (toJson $extra) -}}
{{- end -}}
{{ toJson $found }}
{{- end }}
