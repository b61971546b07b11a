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

{{- /* What calls and the control plane speak. */ -}}
{{- define "gateway.scheme" -}}
{{ ternary "https" "http" (not (empty .Values.tls.secretName)) }}
{{- end }}

{{- define "gateway.servicePort" -}}
{{ ternary 443 80 (not (empty .Values.tls.secretName)) }}
{{- end }}

{{- /* A name that the certificate is for. */ -}}
{{- define "gateway.tlsHostname" -}}
{{ .Values.tls.hostname | default (printf "%s.%s.svc" .Release.Name .Release.Namespace) }}
{{- end }}
