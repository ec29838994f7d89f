{{/* `helm test`: asks the service whether it can work, from a pod of its own. */}}

{{- define "gca.test" -}}
{{- $name := include "gca.name" . -}}
{{- $port := include "gca.healthPort" . -}}
{{- $health := ternary (printf "%s-health" $name) $name (eq .Chart.Name "ingest") -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ $name }}-test
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gca.common" . | nindent 4 }}
    app.kubernetes.io/component: test
    gca/tests: {{ .Chart.Name }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 120
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.global.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "gca.podSecurity" . | nindent 4 }}
  containers:
    - name: test
      image: {{ include "gca.image" (dict "root" . "image" .Values.image) }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command:
        - python
        - -c
        - |
          {{- include "gca.testScript" . | nindent 10 }}
        - http://{{ $health }}:{{ $port }}/readyz
        - "200"
        {{- if eq .Chart.Name "ingest" }}
        - http://{{ $name }}:8000/webhook
        - "401"
        {{- end }}
      securityContext:
        {{- include "gca.containerSecurity" . | nindent 8 }}
      resources:
        requests: {cpu: 10m, memory: 32Mi}
        limits: {memory: 128Mi}
{{- if (include "gca.policy" . | fromJson).enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}-test
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gca.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/part-of: gitlab-copilot-agent
      app.kubernetes.io/component: test
      gca/tests: {{ .Chart.Name }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    {{- include "gca.toDns" (include "gca.policy" . | fromJson) | nindent 4 }}
    - to:
        - {{- include "gca.pods" .Chart.Name | nindent 10 }}
      ports:
        - {port: {{ $port }}, protocol: TCP}
        {{- if eq .Chart.Name "ingest" }}
        - {port: 8000, protocol: TCP}
        {{- end }}
{{- end }}
{{- end }}

{{/* Arguments of the script: pairs of address and status. A webhook is posted, with no proof. */}}
{{- define "gca.testScript" -}}
import sys, time, urllib.error, urllib.request

def ask(url):
    body = b"{}" if url.endswith("/webhook") else None
    try:
        with urllib.request.urlopen(url, data=body, timeout=10) as answer:
            return answer.status, answer.read(2000).decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read(2000).decode()
    except OSError as error:
        return 0, str(error)

failed = False
for url, expected in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    for attempt in range(10):
        status, said = ask(url)
        if status == expected:
            break
        time.sleep(3)
    failed = failed or status != expected
    print("ok" if status == expected else "FAILED", url, status, f"expected {expected}:", said)
sys.exit(failed)
{{- end }}
