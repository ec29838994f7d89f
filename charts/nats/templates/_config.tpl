{{/* nats-server's configuration. A JSON value is one of its own, and no text in quotes is a
variable there; what stands as $NAME is, and comes from the container's environment. */}}

{{- define "nats.image" -}}
{{- $tag := .Values.image.tag | default (printf "%s-alpine" .Chart.AppVersion) -}}
{{ include "gca.image" (dict "root" . "image" (set (deepCopy .Values.image) "tag" $tag)) }}
{{- end }}

{{- define "nats.headless" -}}
{{ include "gca.name" . }}-headless
{{- end }}

{{- define "nats.users" -}}
{{- $permissions := .Files.Get "files/permissions.json" | fromJson -}}
{{- $missing := list -}}
{{- range $name := keys $permissions | sortAlpha -}}
{{- if not (get $.Values.users $name) }}{{ $missing = append $missing (printf "users.%s" $name) }}{{ end -}}
{{- end -}}
{{- with $missing -}}
{{- fail (printf "%s: no public key; `gca nats-users` makes keys for all users and writes them as values" (join ", " .)) -}}
{{- end -}}
{{- range $name, $public := .Values.users -}}
{{- if not (regexMatch "^U[A-Z2-7]{55}$" $public) -}}
{{- fail (printf "users.%s: must be a public nkey (U…, 56 characters); the seed (SU…) belongs into the service's Secret" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $allowed := $permissions }}
    # {{ $name }}
    {{ dict "nkey" (get $.Values.users $name) "permissions" $allowed | toRawJson }}
{{- end }}
{{- range .Values.extraUsers }}
    {{ toRawJson . }}
{{- end }}
{{- end }}

{{- define "nats.config" -}}
server_name: $POD_NAME
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
pid_file: "/run/nats/nats.pid"
max_payload: {{ .Values.maxPayload }}
{{- if gt (int .Values.replicas) 1 }}
lame_duck_grace_period: 10s
lame_duck_duration: 30s
{{- end }}

jetstream {
  store_dir: "/data"
  max_memory_store: 64Mi
  max_file_store: {{ .Values.store.maxBytes }}
  # An event is on disk before it is acknowledged.
  sync_interval: always
}

authorization {
  users: [
    {{- include "nats.users" . }}
  ]
}
{{- if gt (int .Values.replicas) 1 }}

cluster {
  name: {{ include "gca.name" . | toJson }}
  listen: "0.0.0.0:6222"
  # Clients know the Service, which finds a server that is well.
  no_advertise: true
  authorization { user: routes, password: $ROUTES_PASSWORD }
  routes: [
    {{- range $number := until (int .Values.replicas) }}
    $ROUTE_{{ $number }}
    {{- end }}
  ]
}
{{- end }}
{{- end }}
