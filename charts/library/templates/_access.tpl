{{/* Service account, and the Role of services that run Jobs: one namespace, no Secrets. */}}

{{- define "gca.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}

{{- define "gca.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
rules:
  - apiGroups: [batch]
    resources: [jobs]
    verbs: [create, get, list, watch, delete]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get, list, watch]
  - apiGroups: [""]
    resources: [pods/log]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "gca.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "gca.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "gca.name" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
