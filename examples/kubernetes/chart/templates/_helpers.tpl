{{/* The release's name, with regferry in it. */}}
{{- define "regferry.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "regferry" $name) }}{{ $name = printf "%s-regferry" $name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What a selector may have: it can never be changed. Takes a dict of root and component. */}}
{{- define "regferry.selector" -}}
app.kubernetes.io/name: regferry
{{- if ne .root.Release.Name "regferry" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "regferry.labels" -}}
{{ include "regferry.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "regferry.account" -}}
{{- if .Values.serviceAccount.name }}{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create }}{{ include "regferry.name" . }}
{{- else }}default{{ end -}}
{{- end }}

{{/* The claim for what has to survive a pod. helm uninstall leaves it: the journal of
deletions is in it. Takes root, component, state. */}}
{{- define "regferry.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "regferry.name" .root }}-{{ .component }}
  labels: {{- include "regferry.labels" . | nindent 4 }}
  annotations: {helm.sh/resource-policy: keep}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .state.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .state.size }}}
{{- end }}

{{/* The spec of a pod. Takes root, component, args, resources; and for the mirror
ports and probes (YAML), and eventsSecret. */}}
{{- define "regferry.pod" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "regferry.account" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ eq .component "mirror" | ternary 90 60 }}
{{- with $v.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and $v.registry.sameNode $v.registry.labels (or $v.from.claim $v.to.claim) }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- toYaml $v.registry.labels | nindent 12 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $v.user }}
  runAsGroup: {{ $v.group }}
  fsGroup: {{ $v.group }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: regferry
    image: {{ if $v.image.digest }}{{ printf "%s@%s" $v.image.repository $v.image.digest }}{{ else }}{{ printf "%s:%s" $v.image.repository ($v.image.tag | default .root.Chart.AppVersion) }}{{ end }}
    {{- with $v.image.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: {{- toYaml .args | nindent 6 }}
    {{- with $v.credentials.secret }}
    envFrom:
      - secretRef: {name: {{ . }}}
    {{- end }}
    {{- if or $v.env $v.caConfigMap }}
    env:
      {{- if $v.caConfigMap }}
      - {name: SSL_CERT_DIR, value: /certificates}
      {{- end }}
      {{- with $v.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    {{- with .network }}
    {{- . | nindent 4 }}
    {{- end }}
    resources: {{- toYaml .resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      {{- if $v.from.claim }}
      - {name: source, mountPath: {{ $v.from.mountPath }}, readOnly: true}
      {{- end }}
      {{- if $v.to.claim }}
      - {name: destination, mountPath: {{ $v.to.mountPath }}}
      {{- end }}
      - {name: state, mountPath: /state}
      {{- if .eventsSecret }}
      - {name: events, mountPath: /events, readOnly: true}
      {{- end }}
      {{- if $v.credentials.files }}
      - {name: secrets, mountPath: /secrets, readOnly: true}
      {{- end }}
      {{- if $v.caConfigMap }}
      - {name: certificates, mountPath: /certificates, readOnly: true}
      {{- end }}
volumes:
  {{- if $v.from.claim }}
  - name: source
    persistentVolumeClaim: {claimName: {{ $v.from.claim }}, readOnly: true}
  {{- end }}
  {{- if $v.to.claim }}
  - name: destination
    persistentVolumeClaim: {claimName: {{ $v.to.claim }}}
  {{- end }}
  - name: state
    persistentVolumeClaim: {claimName: {{ include "regferry.name" .root }}-{{ .component }}}
  {{- with .eventsSecret }}
  - name: events
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- with $v.credentials.files }}
  - name: secrets
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- with $v.caConfigMap }}
  - name: certificates
    configMap: {name: {{ . }}}
  {{- end }}
{{- end }}
