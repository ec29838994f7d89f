{{/* Services: one for health and metrics of each service. That of ingest has a name of its own,
since the service's own name is the webhook's. */}}

{{- define "gca.healthService" -}}
{{- $name := include "gca.name" . -}}
{{- if eq .Chart.Name "ingest" }}{{ $name = printf "%s-health" $name }}{{ end -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gca.labels" . | nindent 4 }}
    gca/port: health
spec:
  {{- /* A service that is not ready is the one to look at. */}}
  publishNotReadyAddresses: true
  selector:
    {{- include "gca.selector" . | nindent 4 }}
  ports:
    - {name: health, port: {{ include "gca.healthPort" . }}, targetPort: health}
{{- end }}

{{- define "gca.serviceMonitor" -}}
{{- if .Values.serviceMonitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
    {{- with .Values.serviceMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "gca.selector" . | nindent 6 }}
      gca/port: health
  endpoints:
    - port: health
      path: /metrics
      interval: {{ .Values.serviceMonitor.interval }}
{{- end }}
{{- end }}

{{- define "gca.podDisruptionBudget" -}}
{{- if .Values.podDisruptionBudget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "gca.selector" . | nindent 6 }}
{{- end }}
{{- end }}
