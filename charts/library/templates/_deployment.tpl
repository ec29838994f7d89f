{{/* The Deployment of a service. */}}

{{- define "gca.deployment" -}}
{{- include "gca.checked" . -}}
{{- $secrets := include "gca.secrets" . | fromJson -}}
{{- $scaled := or (.Values.autoscaling | default dict).enabled (.Values.keda | default dict).enabled -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
spec:
  {{- if not $scaled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "gca.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        {{- include "gca.labels" . | nindent 8 }}
      {{- with .Values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- with .Values.global.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: {{ include "gca.name" . }}
      automountServiceAccountToken: {{ hasKey .Values "job" }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      securityContext:
        {{- include "gca.podSecurity" . | nindent 8 }}
      {{- if .Values.topologySpread.enabled }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: {{ .Values.topologySpread.topologyKey }}
          whenUnsatisfiable: {{ .Values.topologySpread.whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "gca.selector" . | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
      {{- end }}
      {{- with .Values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.hostAliases }}
      hostAliases:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        {{- include "gca.container" . | nindent 8 }}
      volumes:
        {{- include "gca.volumes" . | nindent 8 }}
{{- end }}

{{- define "gca.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "gca.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "gca.container" -}}
- name: {{ .Chart.Name }}
  image: {{ include "gca.image" (dict "root" . "image" .Values.image) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  env:
    {{- include "gca.environment" . | trim | nindent 4 }}
  ports:
    {{- if eq .Chart.Name "ingest" }}
    - {name: webhook, containerPort: 8000}
    - {name: task-door, containerPort: 8001}
    {{- end }}
    - {name: health, containerPort: {{ include "gca.healthPort" . }}}
  startupProbe:
    httpGet: {path: /healthz, port: health}
    periodSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /healthz, port: health}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: health}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  {{- if eq .Chart.Name "ingest" }}
  lifecycle:
    preStop:
      {{- /* Requests still come until every node has heard that this pod goes. */}}
      sleep: {seconds: 5}
  {{- end }}
  securityContext:
    {{- include "gca.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- if eq .Chart.Name "publisher" }}
    - {name: work, mountPath: /work}
    {{- end }}
    {{- if include "gca.secrets" . | fromJson }}
    - {name: secrets, mountPath: /etc/gca/secrets, readOnly: true}
    {{- end }}
    {{- if .Values.natsCredentials.enabled }}
    - {name: nats, mountPath: /etc/gca/nats, readOnly: true}
    {{- end }}
    {{- with include "gca.caMount" . }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "gca.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if eq .Chart.Name "publisher" }}
- name: work
  emptyDir: {sizeLimit: {{ .Values.workSize }}}
{{- end }}
{{- with include "gca.secrets" . | fromJson }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $reference := . }}
      - secret:
          name: {{ $reference.name }}
          items:
            - {key: {{ $reference.key | quote }}, path: {{ $name }}}
      {{- end }}
{{- end }}
{{- with .Values.natsCredentials }}
{{- if .enabled }}
- name: nats
  secret:
    secretName: {{ .name | default (printf "%s-nats-%s" (include "gca.prefix" $) $.Chart.Name) }}
    defaultMode: 0440
    items:
      - {key: {{ .key | quote }}, path: nats.nk}
{{- end }}
{{- end }}
{{- with include "gca.caVolume" . }}
{{ . }}
{{- end }}
{{- end }}

{{- define "gca.caMount" -}}
{{- if .Values.global.caConfigMap -}}
- {name: ca, mountPath: /etc/gca/ca, readOnly: true}
{{- end -}}
{{- end }}

{{- define "gca.caVolume" -}}
{{- with .Values.global.caConfigMap -}}
- name: ca
  configMap:
    name: {{ . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end -}}
{{- end }}

{{- define "gca.healthPort" -}}
{{ (include "gca.facts" . | fromJson).healthPort | int }}
{{- end }}
