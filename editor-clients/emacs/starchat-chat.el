;;; starchat-chat.el --- Chats with the assistant  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A chat is a buffer of Markdown, with the message that is being written at its end.

;;; Code:

(require 'starchat-connection)

(defface starchat-heading '((t :inherit (bold font-lock-keyword-face)))
  "The headings of a chat."
  :group 'starchat)

(defvar-local starchat-chat--id nil "The server's name for this chat, once it has one.")
(defvar-local starchat-chat--context nil "What goes with the message, as LSP has it.")
(defvar-local starchat-chat--heading nil "Where the last heading begins.")
(defvar-local starchat-chat--waiting nil "What the turn under way waits for.")
(defvar-local starchat-chat--token nil "The token of the turn under way.")

(defvar starchat-chat-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c C-c") #'starchat-chat-send)
    (define-key map (kbd "C-c C-k") #'starchat-chat-stop)
    map)
  "Keys of a chat.")

(define-derived-mode starchat-chat-mode text-mode "StarChat"
  "A chat: write at its end, \\[starchat-chat-send] sends, \\[starchat-chat-stop] stops the answer."
  (visual-line-mode)
  (setq-local font-lock-defaults
              '((("^## .*$" 0 'starchat-heading) ("^```.*$" 0 font-lock-comment-face) ("`[^`\n]+`" 0 font-lock-constant-face)) t)
              mode-line-process '(starchat-chat--waiting (": " starchat-chat--waiting))
              header-line-format (substitute-command-keys "\\<starchat-chat-mode-map>\\[starchat-chat-send] sends, \\[starchat-chat-stop] stops"))
  (setq-local starchat-chat--heading (point-max-marker))
  (add-hook 'kill-buffer-hook #'starchat-chat-stop nil t))

;;;###autoload
(defun starchat-chat (&optional new)
  "Go to the latest chat, or with a prefix argument to a NEW one.
The region goes with the message."
  (interactive "P")
  (let ((about (and (use-region-p) (list :uri (starchat-uri) :range (starchat-range (region-beginning) (region-end)))))
        (name (and (use-region-p)
                   (format "%s:%d-%d" (buffer-name) (line-number-at-pos (region-beginning) t)
                           (line-number-at-pos (max (region-beginning) (1- (region-end))) t)))))
    (when about (starchat-connect) (starchat-sync) (deactivate-mark))
    (pop-to-buffer (or (and (not new) (starchat-chat--latest)) (starchat-chat--new)))
    (when about (starchat-chat--attach about name))
    (goto-char (point-max))))

(defun starchat-chat-resume ()
  "Choose one of the chats that the server keeps, and go on with it."
  (interactive)
  (let* ((chats (append (plist-get (jsonrpc-request (starchat-connect) :starchat/chat/list (make-hash-table)) :chats) nil))
         (titles (mapcar (lambda (each) (cons (format "%s (%s)" (plist-get each :title) (plist-get each :chat)) each)) chats))
         (chosen (cdr (assoc (completing-read "Chat: " titles nil t) titles)))
         (shown (jsonrpc-request (starchat-connect) :starchat/chat/show (list :chat (plist-get chosen :chat)))))
    (pop-to-buffer (starchat-chat--new))
    (setq starchat-chat--id (plist-get chosen :chat))
    (erase-buffer)
    (mapc (lambda (each)
            (starchat-chat--add (if (equal (plist-get each :role) "user") "You" "StarChat") (plist-get each :content)))
          (plist-get shown :messages))
    (starchat-chat--add "You" "")))

(defun starchat-chat-send (&optional shorten)
  "Send the message at the end.
SHORTEN says that the oldest messages may be left out."
  (interactive)
  (let ((text (starchat-chat--message)))
    (cond (starchat-chat--token (user-error "It is still answering"))
          ((string-empty-p text) (user-error "Write a message first")))
    (starchat-chat--known)
    (starchat-chat--add "StarChat" "")
    (starchat-chat--turn (list :chat starchat-chat--id :text text :context (vconcat starchat-chat--context)
                               :shorten (if shorten t :json-false)))
    (setq starchat-chat--context nil)))

(defun starchat-chat-stop ()
  "Stop answering; what has come stays."
  (interactive)
  (when starchat-chat--token
    (starchat-notify :window/workDoneProgress/cancel (list :token starchat-chat--token))))

(defun starchat-chat-stop-all ()
  "Stop answering in every chat."
  (dolist (buffer (buffer-list))
    (with-current-buffer buffer (when (derived-mode-p 'starchat-chat-mode) (starchat-chat-stop)))))

(defun starchat-chat--turn (params)
  "Say what PARAMS hold, and show the answer as it comes."
  (let* ((buffer (current-buffer))
         (token (starchat-token (lambda (value) (starchat-chat--came buffer value)))))
    (setq starchat-chat--token token)
    (jsonrpc-async-request
     (starchat-connect) :starchat/chat/turn (append params (list :token token))
     :success-fn (lambda (_result) (starchat-chat--ended buffer token nil))
     :error-fn (lambda (failure) (starchat-chat--failed buffer token params failure))
     :timeout nil)))

(defun starchat-chat--failed (buffer token params failure)
  "The turn of TOKEN in BUFFER with PARAMS ended with FAILURE."
  (if (and (equal (plist-get (plist-get failure :data) :code) "chat_full") (not (eq t (plist-get params :shorten)))
           (y-or-n-p (concat (plist-get failure :message) " Leave the oldest messages out? ")))
      (with-current-buffer buffer
        (starchat-forget token)
        (starchat-chat--turn (plist-put params :shorten t)))
    (starchat-chat--ended buffer token (if (eql -32800 (plist-get failure :code)) "Stopped." (plist-get failure :message)))))

(defun starchat-chat--came (buffer value)
  "Show a VALUE of the turn under way in BUFFER."
  (when (buffer-live-p buffer)
    (with-current-buffer buffer
      (pcase (plist-get value :kind)
        ("delta" (setq starchat-chat--waiting nil) (starchat-chat--append (plist-get value :text)))
        ("status" (setq starchat-chat--waiting (plist-get value :message)) (force-mode-line-update))
        ("gone" (starchat-chat--ended buffer starchat-chat--token "The server ended."))
        (_ (message "StarChat: %s" (plist-get value :message)))))))

(defun starchat-chat--ended (buffer token note)
  "The turn of TOKEN in BUFFER has ended; NOTE is a sentence about that, or nil."
  (starchat-forget token)
  (when (buffer-live-p buffer)
    (with-current-buffer buffer
      (when (equal token starchat-chat--token)
        (setq starchat-chat--token nil starchat-chat--waiting nil)
        (when note (starchat-chat--append (format "\n\n*%s*" note)))
        (starchat-chat--add "You" "")))))

(defun starchat-chat--known ()
  "Have the server know this chat, which one that was started later may not."
  (let ((connection (starchat-connect)))
    (unless (and starchat-chat--id
                 (ignore-errors (jsonrpc-request connection :starchat/chat/show (list :chat starchat-chat--id))))
      (setq starchat-chat--id
            (plist-get (jsonrpc-request connection :starchat/chat/create (make-hash-table)) :chat)))))

(defun starchat-chat--new ()
  "A new chat's buffer."
  (with-current-buffer (generate-new-buffer "*starchat-chat*")
    (starchat-chat-mode)
    (starchat-chat--add "You" "")
    (current-buffer)))

(defun starchat-chat--latest ()
  "The buffer of the chat that was used last."
  (seq-find (lambda (buffer) (provided-mode-derived-p (buffer-local-value 'major-mode buffer) 'starchat-chat-mode))
            (buffer-list)))

(defun starchat-chat--attach (about name)
  "Have ABOUT, called NAME, go with the message."
  (setq starchat-chat--context (append starchat-chat--context (list about)))
  (save-excursion
    (goto-char starchat-chat--heading)
    (end-of-line)
    (insert (format " (%s)" name))))

(defun starchat-chat--message ()
  "The message that is being written."
  (save-excursion
    (goto-char starchat-chat--heading)
    (forward-line)
    (string-trim (buffer-substring-no-properties (point) (point-max)))))

(defun starchat-chat--add (who text)
  "Add a message at the end: TEXT, said by WHO."
  (starchat-chat--append (format "%s## %s\n\n%s" (if (= (point-min) (point-max)) "" "\n\n") who text))
  (save-excursion
    (goto-char (point-max))
    (re-search-backward "^## ")
    (set-marker starchat-chat--heading (point))))

(defun starchat-chat--append (text)
  "Add TEXT at the end; windows that show the end go with it."
  (let ((follow (seq-filter (lambda (window) (= (window-point window) (point-max)))
                            (get-buffer-window-list nil nil t)))
        (here (= (point) (point-max))))
    (save-excursion (goto-char (point-max)) (insert text))
    (when here (goto-char (point-max)))
    (dolist (window follow) (set-window-point window (point-max)))))

(provide 'starchat-chat)
;;; starchat-chat.el ends here
