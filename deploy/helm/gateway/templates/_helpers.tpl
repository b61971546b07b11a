{{- define "gateway.labels" -}}
app.kubernetes.io/name: gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gateway.configMap" -}}
{{ .Values.config.existingConfigMap | default (printf "%s-manifests" .Release.Name) }}
{{- end }}

{{- /* Over what a stop takes at most: the wait before SIGTERM, delay, timeout and 15 s. */ -}}
{{- define "gateway.graceSeconds" -}}
{{ add (int .Values.preStopSeconds) (int .Values.settings.drainDelaySeconds) (int .Values.settings.drainTimeoutSeconds) 20 }}
{{- end }}
