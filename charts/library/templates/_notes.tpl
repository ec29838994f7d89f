{{/* What to do next, for a service's own release. */}}

{{- define "gca.notes" -}}
{{- $name := include "gca.name" . -}}
{{ .Chart.Name }} {{ .Chart.AppVersion }} is installed as {{ $name }} in the namespace {{ .Release.Namespace }}.

Secrets that it needs there (key in brackets); its pods wait until they exist:
{{- range $setting, $reference := include "gca.secrets" . | fromJson }}
  {{ $reference.name }} [{{ $reference.key }}]  {{ $setting }}
{{- end }}
{{- with .Values.natsCredentials }}{{ if .enabled }}
  {{ .name | default (printf "%s-nats-%s" (include "gca.prefix" $) $.Chart.Name) }} [{{ .key }}]  its user of NATS, made by `gca nats-users`
{{- end }}{{ end }}
{{- if hasKey .Values "job" }}
and its Jobs:
{{- range $setting, $reference := include "gca.jobSecrets" . | fromJson }}
  {{ $reference.name }} [{{ $reference.key }}]  {{ $setting }}
{{- end }}
{{- end }}

  helm test {{ .Release.Name }} -n {{ .Release.Namespace }} --logs
  kubectl logs -n {{ .Release.Namespace }} deployment/{{ $name }} --all-pods -f
{{- if eq .Chart.Name "ingest" }}

{{ include "gca.webhookNote" (dict "root" . "ingest" .Values) }}
{{- end }}
{{- if hasKey .Values "job" }}
{{ include "gca.jobNote" (dict "root" . "job" .Values.job "where" "job") }}
{{- end }}
{{- end }}

{{/* Arguments: root, ingest (the values of its chart). */}}
{{- define "gca.webhookNote" -}}
{{- $name := printf "%s-ingest" (include "gca.prefix" .root) -}}
{{- if .ingest.ingress.enabled -}}
Webhook: in GitLab, Settings > Webhooks, for Merge request events and Comments:
  {{ ternary "https" "http" (not (empty .ingest.ingress.tlsSecret)) }}://{{ .ingest.ingress.host }}/webhook
{{- else -}}
Webhook: GitLab must reach /webhook of the Service {{ $name }}, port 8000. Set ingress.enabled and
ingress.host of the chart ingest, or lead a Gateway or load balancer there. Until then:
  kubectl port-forward -n {{ .root.Release.Namespace }} service/{{ $name }} 8000
{{- end }}
{{- end }}

{{/* Arguments: root, job, where (its place in the values). */}}
{{- define "gca.jobNote" -}}
{{- $open := false -}}
{{- range .job.egress.model }}{{ if eq (.cidr | default "") "0.0.0.0/0" }}{{ $open = true }}{{ end }}{{ end -}}
{{- if not .job.egress.gitlab }}
{{- if $open }}
Jobs may reach public addresses only. When GitLab is in a private network, name it:
{{- else }}
Jobs may reach no GitLab but one among {{ .where }}.egress.model, so clones fail. Name it:
{{- end }}
  --set '{{ .where }}.egress.gitlab[0].cidr=10.1.2.3/32' --set '{{ .where }}.egress.gitlab[0].ports[0]=443'
{{- end }}
{{- if $open }}
Jobs may reach port 443 of the whole internet. Narrow {{ .where }}.egress.model to your model or a proxy.
{{- end }}
{{- end }}
