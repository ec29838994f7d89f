{{/* Network policies. A policy that selects a pod is its default deny: what is not listed is not
allowed. Values of `global.networkPolicy` win over the chart's own. */}}

{{- define "gca.policy" -}}
{{- $shared := dict -}}
{{- range $name, $value := .Values.global.networkPolicy -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $shared $name $value }}{{ end -}}
{{- end -}}
{{ mergeOverwrite (deepCopy .Values.networkPolicy) $shared | toJson }}
{{- end }}

{{/* Arguments: peers, side ("to" or "from"), ports and protocols for peers that name none. */}}
{{- define "gca.rules" -}}
{{- $rules := list -}}
{{- range $peer := .peers -}}
{{- $where := dict -}}
{{- if $peer.cidr -}}
{{- $block := dict "cidr" $peer.cidr -}}
{{- with $peer.except }}{{ $_ := set $block "except" . }}{{ end -}}
{{- $_ := set $where "ipBlock" $block -}}
{{- else -}}
{{- range $selector := list "podSelector" "namespaceSelector" -}}
{{- if hasKey $peer $selector }}{{ $_ := set $where $selector (get $peer $selector) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $port := $peer.ports | default $.ports -}}
{{- range $protocol := $.protocols | default (list "TCP") -}}
{{- $ports = append $ports (dict "port" (int $port) "protocol" $protocol) -}}
{{- end -}}
{{- end -}}
{{- $rule := dict -}}
{{- if $where }}{{ $_ := set $rule $.side (list $where) }}{{ end -}}
{{- if $ports }}{{ $_ := set $rule "ports" $ports }}{{ end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- with $rules }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* Pods of this system by component, as a peer. */}}
{{- define "gca.pods" -}}
podSelector:
  matchLabels:
    app.kubernetes.io/part-of: gitlab-copilot-agent
    app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "gca.toDns" -}}
{{ include "gca.rules" (dict "side" "to" "peers" .dns "ports" (list 53) "protocols" (list "UDP" "TCP")) }}
{{- end }}

{{- define "gca.networkPolicy" -}}
{{- $policy := include "gca.policy" . | fromJson -}}
{{- if $policy.enabled -}}
{{- $health := include "gca.healthPort" . -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "gca.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if eq .Chart.Name "ingest" }}
    {{- if $policy.webhookFrom }}
    {{- include "gca.rules" (dict "side" "from" "peers" $policy.webhookFrom "ports" (list 8000)) | nindent 4 }}
    {{- else }}
    - ports: [{port: 8000, protocol: TCP}]
    {{- end }}
    - from:
        - {{- include "gca.pods" "test" | nindent 10 }}
      ports: [{port: 8000, protocol: TCP}]
    - from:
        - {{- include "gca.pods" "runner" | nindent 10 }}
      ports: [{port: 8001, protocol: TCP}]
    {{- end }}
    - from:
        - {{- include "gca.pods" "test" | nindent 10 }}
      ports: [{port: {{ $health }}, protocol: TCP}]
    {{- with $policy.monitoring }}
    {{- include "gca.rules" (dict "side" "from" "peers" . "ports" (list $health)) | nindent 4 }}
    {{- end }}
  egress:
    {{- with include "gca.toDns" $policy }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if $policy.nats }}
    {{- include "gca.rules" (dict "side" "to" "peers" $policy.nats "ports" (list 4222)) | nindent 4 }}
    {{- else }}
    - to:
        - {{- include "gca.pods" "nats" | nindent 10 }}
      ports: [{port: 4222, protocol: TCP}]
    {{- end }}
    {{- range list $policy.apiServer $policy.egress }}
    {{- with include "gca.rules" (dict "side" "to" "peers" .) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
{{- end }}

{{/* The Jobs of this service. A policy cannot tell an init container from the main one: what the
step clone may reach, the step run may reach too. */}}
{{- define "gca.runnerNetworkPolicy" -}}
{{- $policy := include "gca.policy" . | fromJson -}}
{{- if $policy.enabled -}}
{{- $egress := .Values.job.egress -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "gca.prefix" . }}-runner-{{ .Chart.Name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gca.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/part-of: gitlab-copilot-agent
      app.kubernetes.io/component: runner
      gca/source: {{ .Chart.Name }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    {{- with include "gca.toDns" $policy }}
    {{- . | nindent 4 }}
    {{- end }}
    - to:
        - {{- include "gca.pods" "ingest" | nindent 10 }}
      ports: [{port: 8001, protocol: TCP}]
    {{- range list $egress.model $egress.gitlab $egress.more }}
    {{- with include "gca.rules" (dict "side" "to" "peers" .) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
{{- end }}
