{{/* Names, labels and images. Every template takes the chart's root as its argument. */}}

{{- define "gca.prefix" -}}
{{ .Values.global.prefix | default "gca" }}
{{- end }}

{{- define "gca.name" -}}
{{ include "gca.prefix" . }}-{{ .Chart.Name }}
{{- end }}

{{/* What selects the service's pods; never changes, a Deployment's selector cannot. */}}
{{- define "gca.selector" -}}
app.kubernetes.io/part-of: gitlab-copilot-agent
app.kubernetes.io/component: {{ .Chart.Name }}
{{- end }}

{{- define "gca.common" -}}
app.kubernetes.io/part-of: gitlab-copilot-agent
app.kubernetes.io/name: {{ include "gca.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "gca.labels" -}}
{{ include "gca.common" . }}
app.kubernetes.io/component: {{ .Chart.Name }}
{{- end }}

{{- define "gca.metadata" -}}
name: {{ include "gca.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "gca.labels" . | nindent 2 }}
{{- end }}

{{/* Arguments: root, image. A digest wins over a tag. */}}
{{- define "gca.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What is generated from the service's settings classes. */}}
{{- define "gca.facts" -}}
{{ .Files.Get "files/settings.json" }}
{{- end }}
