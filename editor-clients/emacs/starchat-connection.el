;;; starchat-connection.el --- The way to assistant-server  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A connection by jsonrpc.el, the library that eglot stands on.  A buffer has
;; one server of eglot's at most, and that place belongs to the language's own
;; server: so this one stands beside it.  Positions are counted in UTF-32,
;; which is how Emacs counts, and the text of a buffer is sent when something
;; is asked about it.

;;; Code:

(require 'cl-lib)
(require 'jsonrpc)
(require 'map)
(require 'project)
(require 'subr-x)
(require 'url-util)
(require 'starchat-answers)
(require 'starchat-confirm)
(require 'starchat-edits)

(defgroup starchat nil
  "A local coding assistant."
  :group 'tools
  :prefix "starchat-")

(defcustom starchat-command '("assistant-server")
  "The program that serves, and its arguments."
  :type '(repeat string))

(defcustom starchat-settings nil
  "Settings of the server, as a property list: (:model \"qwen2.5-coder-0.5b\")."
  :type 'plist)

(defvar starchat--connection nil "The connection, while there is one.")
(defvar starchat--capabilities nil "What the server said that it can do.")
(defvar starchat--folders nil "The folders that the server was told of.")
(defvar starchat--jobs nil "What is being done: tokens and (TITLE . MESSAGE).")
(defvar starchat--model nil "What the server said last of its model.")
(defvar starchat--numbers 0 "How many tokens there were.")
(defvar starchat--streams (make-hash-table :test #'equal)
  "For a token a function of the values, property lists, that come for it.")

(defvar-local starchat--version nil "The version of this buffer that the server has.")
(defvar-local starchat--tick nil "The state of this buffer that the server has.")

;;;; Asking

(defun starchat-request (method params done)
  "Ask the server METHOD with PARAMS.
DONE is called in the current buffer with the result and nil, or nil and
a sentence."
  (let ((connection (starchat-connect))
        (buffer (current-buffer)))
    (cl-flet ((finish (result error)
                (if (buffer-live-p buffer) (with-current-buffer buffer (funcall done result error))
                  (funcall done result error))))
      (jsonrpc-async-request
       connection method params
       :success-fn (lambda (result) (finish result nil))
       :error-fn (lambda (failure) (finish nil (plist-get failure :message)))
       :timeout nil))))

(defun starchat-notify (method params)
  "Tell the server METHOD with PARAMS."
  (jsonrpc-notify (starchat-connect) method params))

(defun starchat-token (&optional stream)
  "A new token; STREAM is called with each value that comes for it."
  (let ((token (format "starchat.el-%d" (cl-incf starchat--numbers))))
    (when stream (puthash token stream starchat--streams))
    token))

(defun starchat-forget (token)
  "Nothing more comes for TOKEN."
  (remhash token starchat--streams)
  (setq starchat--jobs (assoc-delete-all token starchat--jobs))
  (force-mode-line-update t))

(defun starchat-capabilities ()
  "What the server can do."
  (starchat-connect)
  starchat--capabilities)

;;;; Beginning and end

(defun starchat-connect ()
  "The connection to the server, which is started where it does not run."
  (unless (starchat-running-p) (starchat--start))
  starchat--connection)

(defun starchat-running-p ()
  "Whether the server runs."
  (and starchat--connection (jsonrpc-running-p starchat--connection)))

(defun starchat--start ()
  "Start the server, and greet it."
  (unless (executable-find (car starchat-command))
    (user-error "%s is not on the PATH: install StarChat Assistant, or set `starchat-command'" (car starchat-command)))
  (setq starchat--folders (list (starchat--folder))
        starchat--connection
        (make-instance
         'jsonrpc-process-connection
         :name "StarChat"
         :process (lambda ()
                    (make-process :name "StarChat" :command starchat-command :connection-type 'pipe :noquery t
                                  :coding 'utf-8-emacs-unix :stderr (get-buffer-create " *StarChat stderr*")))
         :request-dispatcher (lambda (_connection method params) (starchat--asked method params))
         :notification-dispatcher (lambda (_connection method params) (starchat--told method params))
         :on-shutdown (lambda (connection)
                        (when (eq connection starchat--connection) (starchat--gone)))))
  (setq starchat--capabilities
        (plist-get (jsonrpc-request starchat--connection :initialize (starchat--greeting) :timeout 60) :capabilities))
  (jsonrpc-notify starchat--connection :initialized (make-hash-table)))

(defun starchat--greeting ()
  "The parameters of initialize."
  (list :processId (emacs-pid)
        :clientInfo (list :name "starchat.el" :version "0.1.0")
        :rootUri nil
        :workspaceFolders (vconcat (mapcar #'starchat--workspace-folder starchat--folders))
        :initializationOptions (list :starchat (or starchat-settings (make-hash-table)))
        :capabilities
        '(:general (:positionEncodings ["utf-32"])
          :window (:workDoneProgress t :showDocument (:support t))
          :workspace (:applyEdit t :configuration t :workspaceEdit (:documentChanges t)
                      :textDocumentContent (:dynamicRegistration :json-false)))))

(defun starchat-shutdown ()
  "End the server."
  (interactive)
  (when (starchat-running-p)
    (ignore-errors (jsonrpc-request starchat--connection :shutdown nil :timeout 3))
    (ignore-errors (jsonrpc-notify starchat--connection :exit nil))
    (ignore-errors (jsonrpc-shutdown starchat--connection t)))
  (starchat--gone))

(defun starchat-restart ()
  "Start the server again."
  (interactive)
  (starchat-shutdown)
  (starchat-connect))

(defun starchat--gone ()
  "The server has ended, and with it what it was at; the next command starts it."
  (when starchat--jobs (message "StarChat: the server ended; the next command starts it again"))
  (setq starchat--connection nil starchat--jobs nil starchat--model nil)
  (let ((streams (hash-table-values starchat--streams)))
    (clrhash starchat--streams)
    (dolist (stream streams) (funcall stream '(:kind "gone"))))
  (dolist (buffer (buffer-list))
    (with-current-buffer buffer (setq starchat--version nil starchat--tick nil)))
  (force-mode-line-update t))

;;;; The text of buffers

(defun starchat-sync ()
  "Tell the server what the current buffer holds, unless it knows."
  (let ((uri (starchat-uri)) (text (starchat-text)))
    (cond ((null starchat--version)
           (starchat--enter-folder)
           (setq starchat--version 1)
           (add-hook 'kill-buffer-hook #'starchat--leave nil t)
           (starchat-notify :textDocument/didOpen
                            (list :textDocument (list :uri uri :languageId (starchat--language) :version 1 :text text))))
          ((/= starchat--tick (buffer-chars-modified-tick))
           (starchat-notify :textDocument/didChange
                            (list :textDocument (list :uri uri :version (cl-incf starchat--version))
                                  :contentChanges (vector (list :text text))))))
    (setq starchat--tick (buffer-chars-modified-tick))))

(defun starchat--leave ()
  "Tell the server that this buffer is closed."
  (when (and starchat--version starchat--connection)
    (setq starchat--version nil)
    (starchat-notify :textDocument/didClose (list :textDocument (list :uri (starchat-uri))))))

(defun starchat--language ()
  "What LSP calls the language of this buffer."
  (string-remove-suffix "-ts" (string-remove-suffix "-mode" (symbol-name major-mode))))

(defun starchat--folder ()
  "The root of this buffer's project."
  (let ((project (project-current)))
    (expand-file-name (if project (if (fboundp 'project-root) (project-root project) (cdr project)) default-directory))))

(defun starchat--enter-folder ()
  "Tell the server of this buffer's project."
  (let ((folder (starchat--folder)))
    (unless (member folder starchat--folders)
      (push folder starchat--folders)
      (starchat-notify :workspace/didChangeWorkspaceFolders
                       (list :event (list :added (vector (starchat--workspace-folder folder)) :removed []))))))

(defun starchat--workspace-folder (folder)
  "FOLDER as LSP wants it."
  (list :uri (starchat-file-uri (directory-file-name folder)) :name (file-name-nondirectory (directory-file-name folder))))

;;;; What the server asks and tells

(defun starchat--asked (method params)
  "Answer a request of the server's: METHOD with PARAMS."
  (pcase method
    ('workspace/applyEdit (starchat--apply (plist-get params :edit)))
    ('workspace/configuration (vconcat (mapcar (lambda (_item) starchat-settings) (plist-get params :items))))
    ('workspace/textDocumentContent/refresh (starchat-refresh-answer (plist-get params :uri)) nil)
    ('window/showDocument (starchat-show (plist-get params :uri)) '(:success t))
    ('window/showMessageRequest (starchat--choose params))
    ((or 'window/workDoneProgress/create 'client/registerCapability) nil)
    (_ (jsonrpc-error :code -32601 :message (format "No method %s" method)))))

(defun starchat--told (method params)
  "Take a notification of the server's: METHOD with PARAMS."
  (pcase method
    ('$/progress (starchat--progress (plist-get params :token) (plist-get params :value)))
    ('starchat/status (setq starchat--model params) (force-mode-line-update t))
    ('window/showMessage (message "StarChat: %s" (plist-get params :message)))))

(defun starchat--apply (edit)
  "Make an EDIT, if the user wants it.
One that was made for another text is refused, with the new text sent before."
  (let ((changes (append (plist-get edit :documentChanges) nil)))
    (cond ((seq-some #'starchat--stale-p changes) '(:applied :json-false :failureReason "The text was changed meanwhile."))
          ((not (seq-every-p #'starchat--wanted-p changes))
           '(:applied :json-false :failureReason "You left the text as it was."))
          ((seq-some #'starchat--stale-p changes) '(:applied :json-false :failureReason "The text was changed meanwhile."))
          (t (dolist (change changes)
               (with-current-buffer (starchat--buffer-of change)
                 (starchat-apply-edits (plist-get change :edits))
                 (when starchat--version (starchat-sync))))
             '(:applied t)))))

(defun starchat--stale-p (change)
  "Whether CHANGE was made for another text than there is now.
The server is told of that one."
  (let ((version (plist-get (plist-get change :textDocument) :version)))
    (with-current-buffer (starchat--buffer-of change)
      (when starchat--version (starchat-sync))
      (and version (not (eql version starchat--version))))))

(defun starchat--wanted-p (change)
  "Whether the user wants CHANGE."
  (starchat-confirm (starchat--buffer-of change) (plist-get change :edits)))

(defun starchat--buffer-of (change)
  "The buffer that CHANGE is about."
  (starchat-buffer-of (plist-get (plist-get change :textDocument) :uri)))

(defun starchat--choose (params)
  "Ask the user what PARAMS say; nil where they choose nothing."
  (let* ((actions (append (plist-get params :actions) nil))
         (titles (mapcar (lambda (each) (plist-get each :title)) actions))
         (title (condition-case nil (completing-read (concat (plist-get params :message) " ") titles nil t) (quit nil))))
    (seq-find (lambda (each) (equal (plist-get each :title) title)) actions)))

(defun starchat--progress (token value)
  "Show a VALUE that came for TOKEN."
  (let ((stream (gethash token starchat--streams))
        (job (assoc token starchat--jobs)))
    (cond (stream (funcall stream value))
          ((equal (plist-get value :kind) "end") (starchat-forget token))
          (t (unless job (push (setq job (cons token (cons "" ""))) starchat--jobs))
             (setcdr job (cons (or (plist-get value :title) (cadr job))
                               (if-let ((share (plist-get value :percentage)))
                                   (format "%s %d%%" (plist-get value :message) share)
                                 (or (plist-get value :message) (cddr job)))))
             (force-mode-line-update t)))))

(defun starchat-lighter ()
  "What the mode line says."
  (pcase-let ((`(,_token ,title . ,message) (car starchat--jobs))
              ((map :state :progress :remote) starchat--model))
    (cond (title (format " [%s: %s]" title message))
          ((member state '("loading" "starting" "preparing" "failed"))
           (format " StarChat[%s%s]" state (if progress (format " %d%%" (round (* 100 progress))) "")))
          (remote (format " StarChat[to %s]" remote))
          (t " StarChat"))))

(provide 'starchat-connection)
;;; starchat-connection.el ends here
